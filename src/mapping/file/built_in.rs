//! The mapping files of the repository, compiled in: the program runs without a directory beside it.

macro_rules! built_in {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/", $path)))),*]
    };
}

/// Path below `mappings/`, and text; in the order of the paths. A test compares the list with the directory.
pub(super) const BUILT_IN: &[(&str, &str)] = built_in!["logo/items.toml", "logo/tables.toml",];
