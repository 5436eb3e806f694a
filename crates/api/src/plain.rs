//! The rules of texts that are shown to people: control characters would play with the terminals and logs that show
//! them, and a database takes no NUL.

use validator::ValidationError;

/// [`line`] as the document says it.
pub const LINE: &str = r"^[^\u0000-\u001F\u007F-\u009F]*$";
/// [`lines`] as the document says it.
pub const LINES: &str = r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*$";
/// What no process can be started with is refused by the engine; this is how the document says it.
pub const WITHOUT_NUL: &str = r"^[^\u0000]*$";

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
