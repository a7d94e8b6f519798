//! Rules, ready to be asked.

use globset::{Glob, GlobSet, GlobSetBuilder};

use greffier_store::meetings::RecordingRule;

use crate::recorder::Rule;

/// The rules of the configuration, in their order.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<(GlobSet, Rule)>);

/// Why a rule makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    #[error("rule `{rule}`: `{pattern}` is not a pattern of room names: {reason}")]
    Pattern {
        rule: String,
        pattern: String,
        reason: String,
    },
    #[error("rule `{rule}` names no rooms; `rooms = [\"*\"]` is all of them")]
    NoRooms { rule: String },
    #[error("two rules are called `{rule}`")]
    Twice { rule: String },
    #[error("a rule needs a name, of at most 64 bytes")]
    Name,
}

impl Rules {
    pub fn new(rules: &[Rule]) -> Result<Self, RuleError> {
        let mut ready: Vec<(GlobSet, Rule)> = Vec::new();
        for rule in rules {
            let name = || rule.name.clone();
            if rule.name.is_empty() || rule.name.len() > 64 {
                return Err(RuleError::Name);
            }
            if rule.rooms.is_empty() {
                return Err(RuleError::NoRooms { rule: name() });
            }
            if ready.iter().any(|(_, other)| other.name == rule.name) {
                return Err(RuleError::Twice { rule: name() });
            }
            let mut globs = GlobSetBuilder::new();
            for pattern in &rule.rooms {
                globs.add(Glob::new(pattern).map_err(|error| RuleError::Pattern {
                    rule: name(),
                    pattern: pattern.clone(),
                    reason: error.kind().to_string(),
                })?);
            }
            let globs = globs.build().map_err(|error| RuleError::Pattern {
                rule: name(),
                pattern: rule.rooms.join(", "),
                reason: error.kind().to_string(),
            })?;
            ready.push((globs, rule.clone()));
        }
        Ok(Self(ready))
    }

    /// The rule by which a room is recorded, if it is.
    pub fn of(&self, room: &str) -> Option<&Rule> {
        let (_, rule) = self.0.iter().find(|(globs, _)| globs.is_match(room))?;
        rule.record.then_some(rule)
    }

    /// The same for a room that may say itself what it wants: whoever made it has the last word, and the rules decide only if
    /// they leave it to them. What is wanted of rooms that say [`RecordingRule::Auto`] is done where calls are followed.
    pub fn of_made(&self, room: &str, own: RecordingRule) -> Option<&Rule> {
        match own {
            RecordingRule::Rules => self.of(room),
            RecordingRule::Auto | RecordingRule::Manual | RecordingRule::Never => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(entries: serde_json::Value) -> Result<Rules, RuleError> {
        Rules::new(&serde_json::from_value::<Vec<Rule>>(entries).expect("rules"))
    }

    #[test]
    fn the_first_that_matches_decides() {
        let rules = rules(json!([
            {"name": "never", "rooms": ["private-*", "{hr,legal}"], "record": false},
            {"name": "board", "rooms": ["board*"], "max_duration": "2h"},
            {"name": "all", "rooms": ["*"]},
        ]))
        .expect("make sense");
        let of = |room| rules.of(room).map(|rule| rule.name.as_str());
        assert_eq!(of("private-chat"), None);
        assert_eq!(of("hr"), None);
        assert_eq!(of("board 2026"), Some("board"));
        assert_eq!(of("café ☕ / 42"), Some("all"));
        assert_eq!(Rules::default().of("demo"), None);
    }

    #[test]
    fn whoever_made_a_room_has_the_last_word() {
        let rules = rules(json!([{"name": "all", "rooms": ["*"]}])).expect("make sense");
        for own in [RecordingRule::Auto, RecordingRule::Manual, RecordingRule::Never] {
            assert_eq!(rules.of_made("demo", own), None, "{own:?}");
        }
        assert!(rules.of_made("demo", RecordingRule::Rules).is_some());
        assert!(rules.of("demo").is_some(), "nobody made it here");
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        assert!(
            matches!(rules(json!([{"name": "a", "rooms": ["x["]}])), Err(RuleError::Pattern { pattern, .. }) if pattern == "x[")
        );
        assert_eq!(
            rules(json!([{"name": "a", "rooms": []}])).err(),
            Some(RuleError::NoRooms { rule: "a".into() })
        );
        let twice = rules(json!([{"name": "a", "rooms": ["x"]}, {"name": "a", "rooms": ["y"]}]));
        assert_eq!(twice.err(), Some(RuleError::Twice { rule: "a".into() }));
        assert_eq!(
            rules(json!([{"name": "", "rooms": ["x"]}])).err(),
            Some(RuleError::Name)
        );
    }
}
