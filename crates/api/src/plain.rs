//! The rules of texts that are shown to people: control characters would play with the terminals and logs that show
//! them, and a database takes no NUL.

use validator::ValidationError;

/// A name: one line.
pub fn line(text: &str) -> Result<(), ValidationError> {
    refuse(text.contains(char::is_control))
}

/// A description: line breaks and tabs are text.
pub fn lines(text: &str) -> Result<(), ValidationError> {
    refuse(text.contains(|c: char| c.is_control() && !['\n', '\r', '\t'].contains(&c)))
}

fn refuse(found: bool) -> Result<(), ValidationError> {
    if found {
        let message = "must not have control characters";
        return Err(ValidationError::new("control_character").with_message(message.into()));
    }
    Ok(())
}
