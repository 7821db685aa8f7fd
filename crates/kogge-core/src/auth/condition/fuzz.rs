//! Fuzz targets for conditions: whatever comes, nothing panics; what is read is written and read again as the same; it
//! holds exactly when a plain reading of it says so.
//!
//! By default each target runs a bounded number of cases from a fixed seed; `KOGGE_TEST_LONG=1` runs many more from a
//! new seed, which a failure prints.

use kogge_types::{RepositoryName, limits};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::{Config, RngSeed};
use proptest::{prop_assert, prop_assert_eq};

use crate::auth::condition::{Condition, ConditionError, Request};

const CASES: u32 = 1_000;
const CASES_LONG: u32 = 100_000;

fn config() -> Config {
    let is_long = std::env::var_os("KOGGE_TEST_LONG").is_some_and(|value| value == "1");
    let (cases, rng_seed) = if is_long { (CASES_LONG, RngSeed::Random) } else { (CASES, RngSeed::Fixed(1)) };
    Config { cases, rng_seed, failure_persistence: None, ..Config::default() }
}

const NAME: &str = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";
const ACTIONS: &[&str] = &[
    "Microsoft.ContainerRegistry/registries/repositories/content/read",
    "Microsoft.ContainerRegistry/registries/repositories/content/write",
    "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
    "Microsoft.ContainerRegistry/registries/catalog/read",
];
const ACTION_PATTERNS: &[&str] = &[
    "*",
    "*/read",
    "microsoft.containerregistry/registries/repositories/*",
    "Microsoft.ContainerRegistry/registries/repositories/content/read",
    "*/content/*",
    "nothing",
];
const NAMES: &[&str] = &["a", "b", "ab", "a/b", "a/b/c", "a/c", "b/a", "ab/a", "a-b", "abc/abc"];
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "A",
    "a/",
    "A/",
    "a/b",
    "a/B",
    "a/b/",
    "a/b/c",
    "ab",
    "*",
    "a*",
    "a/*",
    "*/b",
    "a?",
    "a/?",
    "*b*",
    "?",
    r"a\*",
    "a/b*c",
    "not a name",
    "/",
    "/a",
    "é",
];

/// A condition, in the test's own words.
#[derive(Debug, Clone)]
enum Tree {
    Not(Box<Tree>, usize),
    And(Vec<Tree>, usize),
    Or(Vec<Tree>, usize),
    Action(&'static str),
    SubOperation,
    Exists,
    /// An index into [`OPERATORS`].
    Compare(usize, &'static str),
    /// Whether the list is for all; whether its prefix says so of the attribute's values too.
    List {
        all: bool,
        left: bool,
        operator: usize,
        texts: Vec<&'static str>,
    },
}

/// What an operator says of a name and a text, its negation left out.
type Relation = fn(&str, &str) -> bool;

/// Every operator: its name, whether its relation must hold, and the relation.
const OPERATORS: &[(&str, bool, Relation)] = &[
    ("StringEquals", true, |name, text| name == text),
    ("StringNotEquals", false, |name, text| name == text),
    ("StringEqualsIgnoreCase", true, |name, text| name == text.to_lowercase()),
    ("StringNotEqualsIgnoreCase", false, |name, text| name == text.to_lowercase()),
    ("StringStartsWith", true, |name, text| name.starts_with(text)),
    ("StringNotStartsWith", false, |name, text| name.starts_with(text)),
    ("StringStartsWithIgnoreCase", true, |name, text| name.starts_with(&text.to_lowercase())),
    ("StringNotStartsWithIgnoreCase", false, |name, text| name.starts_with(&text.to_lowercase())),
    ("StringLike", true, like),
    ("StringNotLike", false, like),
    ("StringLikeIgnoreCase", true, |name, text| like(name, &text.to_lowercase())),
    ("StringNotLikeIgnoreCase", false, |name, text| like(name, &text.to_lowercase())),
];

/// The plainest reading of a pattern, as slow as it may be.
fn like(name: &str, pattern: &str) -> bool {
    let mut rest = pattern.chars();
    let mut name_rest = name.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => like(name, rest.as_str()) || name_rest.next().is_some() && like(name_rest.as_str(), pattern),
        Some('?') => name_rest.next().is_some() && like(name_rest.as_str(), rest.as_str()),
        Some('\\') if rest.as_str().starts_with(['*', '?']) => {
            rest.next() == name_rest.next() && like(name_rest.as_str(), rest.as_str())
        }
        Some(char) => name_rest.next() == Some(char) && like(name_rest.as_str(), rest.as_str()),
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let operator = 0..OPERATORS.len();
    let text = prop::sample::select(TEXTS);
    let leaf = prop_oneof![
        3 => prop::sample::select(ACTION_PATTERNS).prop_map(Tree::Action),
        1 => Just(Tree::SubOperation),
        1 => Just(Tree::Exists),
        5 => (operator.clone(), text.clone()).prop_map(|(operator, text)| Tree::Compare(operator, text)),
        3 => (any::<bool>(), any::<bool>(), operator, prop::collection::vec(text, 1..4))
            .prop_map(|(all, left, operator, texts)| Tree::List { all, left, operator, texts }),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            (inner, 0..4_usize).prop_map(|(inner, style)| Tree::Not(Box::new(inner), style)),
            (parts.clone(), 0..4_usize).prop_map(|(parts, style)| Tree::And(parts, style)),
            (parts, 0..4_usize).prop_map(|(parts, style)| Tree::Or(parts, style)),
        ]
    })
}

impl Tree {
    fn write(&self) -> String {
        match self {
            Self::Not(inner, style) => format!("{}({})", ["!", "NOT", "not ", "! "][*style], inner.write()),
            Self::And(parts, style) => join(parts, [" AND ", "&&", " and ", ")AND("][*style]),
            Self::Or(parts, style) => join(parts, [" OR ", "||", "\nor\t", ") || ("][*style]),
            Self::Action(pattern) => format!("ActionMatches{{'{pattern}'}}"),
            Self::SubOperation => "SubOperationMatches{'x'}".to_owned(),
            Self::Exists => format!("Exists {NAME}"),
            Self::Compare(operator, text) => format!("{NAME} {} '{text}'", OPERATORS[*operator].0),
            Self::List { all, left, operator, texts } => {
                let words = |all: bool| if all { "All" } else { "Any" };
                let prefix = format!("For{}Of{}Values", words(*left), words(*all));
                format!("{NAME}{prefix}:{} {{'{}'}}", OPERATORS[*operator].0, texts.join("' ,'"))
            }
        }
    }

    /// The plain reading; `None` is no answer.
    fn holds(&self, action: &str, name: Option<&str>) -> Option<bool> {
        let compare = |operator: usize, text: &str| {
            let (_, positive, relation) = OPERATORS[operator];
            name.map(|name| relation(name, text) == positive)
        };
        match self {
            Self::Not(inner, _) => inner.holds(action, name).map(|holds| !holds),
            Self::And(parts, _) => conjunction(parts.iter().map(|part| part.holds(action, name))),
            Self::Or(parts, _) => {
                let negated = parts.iter().map(|part| part.holds(action, name).map(|holds| !holds));
                conjunction(negated).map(|holds| !holds)
            }
            Self::Action(pattern) => Some(like(&action.to_lowercase(), &pattern.to_lowercase())),
            Self::SubOperation => Some(false),
            Self::Exists => Some(name.is_some()),
            Self::Compare(operator, text) => compare(*operator, text),
            Self::List { all, operator, texts, .. } => {
                name?;
                let mut each = texts.iter().map(|text| compare(*operator, text) == Some(true));
                Some(if *all { each.all(|holds| holds) } else { each.any(|holds| holds) })
            }
        }
    }
}

/// In parentheses of its own, and so is each part that needs them.
fn join(parts: &[Tree], joint: &str) -> String {
    let parts: Vec<String> = parts.iter().map(|part| format!("({})", part.write())).collect();
    format!("(({}))", parts.join(joint))
}

fn conjunction(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let parts: Vec<Option<bool>> = parts.collect();
    match (parts.contains(&Some(false)), parts.contains(&None)) {
        (true, _) => Some(false),
        (false, true) => None,
        (false, false) => Some(true),
    }
}

/// Pieces that the parser looks for, and some that it should not meet.
fn piece() -> impl Strategy<Value = String> {
    let pieces: &[&str] = &[
        "(",
        ")",
        "{",
        "}",
        ",",
        "!",
        "NOT ",
        "&&",
        " AND ",
        "||",
        " OR ",
        "&",
        "|",
        "'",
        "''",
        "'a'",
        "'a*'",
        "@",
        "@Request",
        "[",
        "]",
        NAME,
        "@Request[]",
        "Exists ",
        "ActionMatches",
        "ActionMatches{'*'}",
        "SubOperationMatches{'x'}",
        "StringEquals",
        "StringLike ",
        " ForAnyOfAnyValues:",
        ":",
        "\0",
        "é",
        "\u{2028}",
        "\\",
        "1",
        " ",
    ];
    prop_oneof![20 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Well-formed texts that were cut and joined, and pieces in any order.
fn input() -> impl Strategy<Value = String> {
    let pieces = || prop::collection::vec(piece(), 0..20).prop_map(|pieces| pieces.concat());
    let edited = (tree(), any::<prop::sample::Index>(), pieces(), any::<bool>()).prop_map(|(tree, at, put, drop)| {
        let text = tree.write();
        let at = text.floor_char_boundary(at.index(text.len() + 1));
        let rest = if drop { text[at..].chars().skip(3).collect() } else { text[at..].to_owned() };
        format!("{}{put}{rest}", &text[..at])
    });
    let long = (piece(), 0..9_000_usize).prop_map(|(piece, times)| piece.repeat(times));
    prop_oneof![1 => any::<String>(), 2 => pieces(), 3 => edited, 1 => long]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_text_is_a_condition_or_an_error_at_a_place_of_it(text in input()) {
        match text.parse::<Condition>() {
            Ok(condition) => {
                prop_assert!(text.len() <= limits::CONDITION_BYTES_MAX);
                let written = condition.to_string();
                if written.len() <= limits::CONDITION_BYTES_MAX {
                    prop_assert_eq!(written.parse(), Ok(condition));
                }
            }
            Err(ConditionError::Length) => prop_assert!(text.len() > limits::CONDITION_BYTES_MAX),
            Err(ConditionError::Depth { at } | ConditionError::Syntax { at, .. }) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&at));
            }
        }
    }

    #[test]
    fn a_condition_holds_when_a_plain_reading_of_it_does(
        tree in tree(),
        action in prop::sample::select(ACTIONS),
        name in prop::option::weighted(0.9, prop::sample::select(NAMES)),
    ) {
        let text = tree.write();
        let condition = Condition::parse(&text).expect("a tree is written well");
        let holds = condition.evaluate(&Request { action, repository: name });
        prop_assert_eq!(holds, tree.holds(action, name) == Some(true), "{}", &text);
        prop_assert_eq!(condition.to_string().parse(), Ok(condition), "{}", &text);
    }

    #[test]
    fn the_reach_of_a_condition_misses_nothing(tree in tree(), action in prop::sample::select(ACTIONS)) {
        let condition = Condition::parse(&tree.write()).expect("a tree is written well");
        let Some(patterns) = condition.repository_patterns(action) else { return Ok(()) };
        let ranges: Vec<_> = patterns.iter().map(|pattern| pattern.range()).collect();
        for pair in ranges.windows(2) {
            prop_assert!(pair[0].1.as_ref().is_some_and(|end| *end <= pair[1].0), "{:?}", ranges);
        }
        for name in NAMES {
            let found = patterns.iter().any(|pattern| pattern.matches(&name.parse::<RepositoryName>().expect(name)));
            let holds = condition.evaluate(&Request { action, repository: Some(name) });
            prop_assert!(found || !holds, "{} {}", name, condition);
        }
    }
}
