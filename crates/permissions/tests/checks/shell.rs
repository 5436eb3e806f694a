//! What must hold for every line, shared by the property tests, the corpus and the fuzz target.

use permissions::shell::{SimpleCommand, analyse};

/// Analyses a line, and the same line with a command after it: a line that is complete hides nothing that follows.
pub fn check(line: &str) {
    let Ok(alone) = analyse(line) else { return };
    // A backslash at the end joins the next line to this one.
    if line.ends_with('\\') {
        return;
    }
    let Ok(followed) = analyse(&format!("{line}\nrm -rf followed")) else { return };
    let words =
        |commands: &[SimpleCommand]| commands.iter().map(|command| command.words.clone()).collect::<Vec<_>>();
    let (mut alone, mut followed) = (words(&alone.commands), words(&followed.commands));
    let last = followed.pop().map(|words| format!("{words:?}")).unwrap_or_default();
    assert!(last.contains("followed"), "{line:?} hides what follows it: {last}");
    // After a `cd` the last command is listed once for each place.
    followed.retain(|words| !format!("{words:?}").contains("\"followed\""));
    alone.retain(|words| !format!("{words:?}").contains("\"followed\""));
    assert_eq!(alone, followed, "{line:?} is another with something after it");
}
