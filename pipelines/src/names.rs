//! Names of files: from what people call themselves, and harmless on any system.

use std::collections::BTreeSet;

/// Longest part of an identity in a file name.
const MAX_SLUG: usize = 40;

/// File names in use.
#[derive(Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// The name itself, or with a number that makes it another than all before.
    pub fn unique(&mut self, wanted: &str) -> String {
        let numbered = |number: u32| {
            if number == 1 {
                wanted.to_owned()
            } else {
                format!("{wanted}-{number}")
            }
        };
        let name = (1..=u32::MAX)
            .map(numbered)
            .find(|name| !self.0.contains(name))
            .unwrap_or_default();
        self.0.insert(name.clone());
        name
    }
}

/// What of an identity can be in a file name on any system: it may hold anything, `../` too.
pub(crate) fn slug(identity: &str) -> String {
    let mut slug = String::new();
    for letter in identity.chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == MAX_SLUG {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "participant".to_owned()
    } else {
        slug.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_harmless_and_unique() {
        let mut names = Names::default();
        let mut name = |identity: &str| names.unique(&slug(identity));
        assert_eq!(name("Ana Müller"), "ana-m-ller");
        assert_eq!(name("../../etc/passwd"), "etc-passwd");
        assert_eq!(name("🎉"), "participant");
        assert_eq!(name("日本"), "participant-2");
        assert_eq!(name("ana müller"), "ana-m-ller-2");
        assert_eq!(name(&"x".repeat(1000)).len(), MAX_SLUG);
    }
}
