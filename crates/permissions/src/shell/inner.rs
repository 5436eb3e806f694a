//! Commands that run commands.

use super::{
    Unparsable,
    place::Ends,
    simple::{Draft, Stdin, shorten},
    walk::{Scope, Walk},
    words::Expanded,
};

const SHELLS: [&str; 8] = ["sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "rbash"];

impl Walk {
    /// Visits what a command runs in turn. Its ends, if it runs in the shell itself and may change where that is.
    pub(super) fn inner_commands(
        &mut self,
        draft: &Draft,
        scope: &Scope,
    ) -> Result<Option<Ends>, Unparsable> {
        let Some(program) = draft.program() else { return Ok(None) };
        let arguments = &draft.words[1..];
        let mut inner = scope.clone();
        inner.under.push(program.to_owned());
        inner.depth += 1;
        match program {
            "eval" => {
                let places = self.text(&join(arguments), arguments, &inner)?;
                return Ok(Some(Ends::same(&places)));
            }
            shell if SHELLS.contains(&shell) => self.shell(arguments, &inner)?,
            "sudo" | "env" | "nohup" | "command" | "exec" => {
                let rest =
                    arguments.iter().skip_while(|word| word.template.starts_with('-')).cloned().collect();
                self.emit(Draft { words: rest, ..Draft::default() }, &inner)?;
            }
            _ => return Ok(None),
        }
        Ok(None)
    }

    fn shell(&mut self, arguments: &[Expanded], scope: &Scope) -> Result<(), Unparsable> {
        let mut has_command = false;
        for word in arguments {
            let Some(flags) = word.template.strip_prefix(['-', '+']) else {
                if has_command {
                    self.text(&word.template, std::slice::from_ref(word), scope)?;
                }
                return Ok(());
            };
            has_command |= !flags.starts_with('-') && flags.contains('c');
        }
        match scope.stdin.clone() {
            Stdin::Inherited | Stdin::File => {}
            Stdin::Known(text) => self.subprogram(&text, scope)?,
            Stdin::Unknown(text) => {
                self.unknown("what is piped into a shell cannot be known before it runs".to_owned());
                if let Some(text) = text {
                    self.subprogram(&text, scope)?;
                }
            }
        }
        Ok(())
    }

    /// A text that a shell runs, made of these words.
    fn text(
        &mut self,
        text: &str,
        words: &[Expanded],
        scope: &Scope,
    ) -> Result<super::place::Places, Unparsable> {
        if words.iter().any(|word| word.word.known().is_none()) {
            self.unknown(format!("what `{}` runs cannot be known before it runs", shorten(text)));
        }
        self.program(text, scope)
    }
}

fn join(words: &[Expanded]) -> String {
    words.iter().map(|word| word.template.as_str()).collect::<Vec<_>>().join(" ")
}
