//! The fonts: built-in ones, and those of a folder for what they lack. They are read for a report and given back with it.

use parley::{
    FontContext, FontFamilyName,
    fontique::{Blob, Collection, CollectionOptions, SourceCache},
};
use std::{borrow::Cow, path::Path, sync::Arc};

const SANS: &str = "DejaVu Sans";
const MONO: &str = "DejaVu Sans Mono";

/// Fonts by name, in the order in which they are asked for a glyph.
pub(super) struct Fonts {
    pub context: FontContext,
    pub sans: Vec<FontFamilyName<'static>>,
    pub mono: Vec<FontFamilyName<'static>>,
}

impl Fonts {
    /// The built-in fonts, and behind them what is in the folder; what cannot be read there is as if it were not.
    pub(super) fn read(folder: Option<&Path>) -> Self {
        let mut collection = Collection::new(CollectionOptions { shared: false, system_fonts: false });
        for font in [
            dejavu::sans::regular(),
            dejavu::sans::bold(),
            dejavu::sans::oblique(),
            dejavu::sans::bold_oblique(),
            dejavu::sans_mono::regular(),
            dejavu::sans_mono::bold(),
        ] {
            collection.register_fonts(Blob::new(Arc::new(font)), None);
        }
        let mut others = Vec::new();
        if let Some(folder) = folder {
            collection.load_fonts_from_paths([folder]);
            others.extend(
                collection.family_names().filter(|name| ![SANS, MONO].contains(name)).map(str::to_owned),
            );
            // The collection has no order of its own, and a report is the same each time.
            others.sort();
        }
        let named = |first: &'static str, second: &'static str| {
            let built_in = [first, second].map(Cow::Borrowed);
            let others = others.iter().cloned().map(Cow::Owned);
            built_in.into_iter().chain(others).map(FontFamilyName::Named).collect()
        };
        let (sans, mono) = (named(SANS, MONO), named(MONO, SANS));
        Self { context: FontContext { collection, source_cache: SourceCache::default() }, sans, mono }
    }
}
