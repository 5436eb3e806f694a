//! The `with_*` methods by which options and settings are built.

/// Writes one setter per line: `setters! { Type: with_field, field: Type; }`. With `Type, into:` they take
/// whatever becomes the type.
macro_rules! setters {
    ($of:ident: $($setter:ident, $field:ident: $type:ty;)*) => {
        impl $of {
            $(#[doc = concat!("Sets `", stringify!($field), "`.")]
            #[must_use]
            pub fn $setter(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            })*
        }
    };
    ($of:ident, into: $($setter:ident, $field:ident: $type:ty;)*) => {
        impl $of {
            $(#[doc = concat!("Sets `", stringify!($field), "`.")]
            #[must_use]
            pub fn $setter(mut self, $field: impl Into<$type>) -> Self {
                self.$field = $field.into();
                self
            })*
        }
    };
}

pub(crate) use setters;
