//! What in the sources is there for tests only, and so is not counted: items that are `#[cfg(test)]`.

use std::{fs, ops::RangeInclusive, path::Path};

use anyhow::{Context, Result};
use syn::{
    Attribute, File, Ident, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod,
    spanned::Spanned,
    visit::{self, Visit},
};

/// The lines of functions, modules and implementations that are for tests.
pub(super) fn lines(source: &str) -> Result<Vec<RangeInclusive<usize>>> {
    let mut found = Found::default();
    found.visit_file(&syn::parse_file(source)?);
    Ok(found.0)
}

/// Whether a file below `source` is a module for tests, or in one: the files above say so.
pub(super) fn is_module_for_tests(file: &Path, source: &Path) -> Result<bool> {
    let mut module = file.to_owned();
    loop {
        let name =
            module.file_stem().and_then(|name| name.to_str()).context("a module has a name")?.to_owned();
        let folder = module.parent().context("a module is in a folder")?.to_owned();
        let is_outermost = folder == source || !folder.starts_with(source);
        let above = if is_outermost {
            vec![source.join("lib.rs"), source.join("main.rs")]
        } else {
            vec![folder.with_extension("rs")]
        };
        for above in above.iter().filter(|above| above.is_file() && **above != module) {
            let text = fs::read_to_string(above)?;
            let text = syn::parse_file(&text)
                .with_context(|| format!("failed to understand {}", above.display()))?;
            if declares_for_tests(&text, &name) {
                return Ok(true);
            }
        }
        if is_outermost {
            return Ok(false);
        }
        module = folder.with_extension("rs");
    }
}

fn declares_for_tests(file: &File, name: &str) -> bool {
    file.items.iter().any(|item| match item {
        Item::Mod(module) => module.content.is_none() && module.ident == name && is_for_tests(&module.attrs),
        _ => false,
    })
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Ident>().is_ok_and(|condition| condition == "test")
    })
}

#[derive(Default)]
struct Found(Vec<RangeInclusive<usize>>);

impl Found {
    /// Takes an item that is for tests; of another, what is inside may be.
    fn look<'a, T: Spanned>(&mut self, attributes: &[Attribute], item: &'a T, inside: fn(&mut Self, &'a T)) {
        if is_for_tests(attributes) {
            let span = item.span();
            self.0.push(span.start().line..=span.end().line);
        } else {
            inside(self, item);
        }
    }
}

impl<'a> Visit<'a> for Found {
    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        self.look(&item.attrs, item, visit::visit_item_mod);
    }

    fn visit_item_fn(&mut self, item: &'a ItemFn) {
        self.look(&item.attrs, item, visit::visit_item_fn);
    }

    fn visit_item_impl(&mut self, item: &'a ItemImpl) {
        self.look(&item.attrs, item, visit::visit_item_impl);
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        self.look(&item.attrs, item, visit::visit_impl_item_fn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_only_have_is_found_wherever_it_is() {
        let source = "fn a() {}\n\
                      #[cfg(test)]\n\
                      mod tests {\n    const TEXT: &str = \"\n}\n\";\n}\n\
                      struct S;\n\
                      impl S {\n    fn b() {}\n    #[cfg(test)]\n    fn c() {\n    }\n}\n\
                      #[cfg(unix)]\n\
                      mod inner {\n    #[cfg(test)]\n    fn d() {}\n}\n";
        assert_eq!(lines(source).unwrap(), [2..=7, 11..=13, 17..=18]);
    }

    #[test]
    fn other_conditions_are_not_for_tests_only() {
        assert_eq!(
            lines("#[cfg(not(test))]\nfn a() {}\n#[cfg(feature = \"test\")]\nfn b() {}\n").unwrap(),
            []
        );
        assert!(lines("fn {").is_err());
    }

    #[test]
    fn a_file_is_for_tests_if_a_module_above_is() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path();
        fs::create_dir_all(source.join("a/tests")).unwrap();
        for (file, text) in [
            ("lib.rs", "mod a;\nmod tests;\n"),
            ("tests.rs", ""),
            ("a.rs", "mod b;\n#[cfg(test)]\nmod tests;\n"),
            ("a/b.rs", ""),
            ("a/tests.rs", "mod deep;\n"),
            ("a/tests/deep.rs", ""),
        ] {
            fs::write(source.join(file), text).unwrap();
        }
        let is_for_tests = |file: &str| is_module_for_tests(&source.join(file), source).unwrap();
        assert!(is_for_tests("a/tests.rs") && is_for_tests("a/tests/deep.rs"));
        assert!(!is_for_tests("lib.rs") && !is_for_tests("a.rs") && !is_for_tests("a/b.rs"));
        assert!(!is_for_tests("tests.rs"), "a name says nothing");
    }
}
