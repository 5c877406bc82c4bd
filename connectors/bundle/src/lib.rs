//! The list of all connectors, sorted by kind. The hub finds them here and nowhere else.

use kopru_sdk::Descriptor;

static ALL: [Descriptor; 1] = [kopru_logo::DESCRIPTOR];

pub fn all() -> &'static [Descriptor] {
    &ALL
}

pub fn find(kind: &str) -> Option<&'static Descriptor> {
    all().iter().find(|descriptor| descriptor.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_without_repeats() {
        assert!(all().windows(2).all(|pair| pair[0].kind < pair[1].kind));
        assert!(find("logo").is_some() && find("nobody").is_none());
    }
}
