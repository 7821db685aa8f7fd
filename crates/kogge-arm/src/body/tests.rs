use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{prop_assert_eq, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::{Desired, Registers, patch, put};
use crate::representation::properties;
use crate::sample::SAMPLE;

fn made(body: Value) -> Desired {
    put(&SAMPLE, &body, None).expect("a body that is right")
}

fn error(body: Value, existing: Option<&Desired>) -> (String, Option<String>) {
    let error = put(&SAMPLE, &body, existing).expect_err("a body that is wrong");
    (error.code.into_owned(), error.target)
}

#[test]
fn values_become_registers_in_their_own_spelling() {
    let desired = made(json!({
        "id": "/x", "Name": "x", "type": "y", "systemData": {},
        "LOCATION": "West US",
        "tags": { "env": "test", "a.b": "" },
        "sku": { "NAME": "large" },
        "properties": {
            "Enabled": true,
            "state": "whatever",
            "since": "2026-01-02T03:04:05+01:00",
            "policies": { "retention": { "days": 3, "updated": "never" } },
            "description": null,
        },
    }));
    assert_eq!(desired.location.as_deref(), Some("westus"));
    let registers = [
        ("properties.enabled", json!(true)),
        ("properties.policies.retention", json!({ "days": 3 })),
        ("properties.since", json!("2026-01-02T02:04:05Z")),
        ("sku", json!({ "name": "Large" })),
        ("tags.a.b", json!("")),
        ("tags.env", json!("test")),
    ];
    assert_eq!(desired.registers, registers.map(|(path, value)| (path.to_owned(), value)).into());
}

#[test]
fn what_is_wrong_is_named() {
    let check = |properties: Value, code: &str, target: &str| {
        let found = error(json!({ "location": "here", "properties": properties }), None);
        assert_eq!(found, (code.to_owned(), Some(target.to_owned())), "{properties}");
    };
    let (parameter, content) = ("InvalidParameter", "InvalidRequestContent");
    check(json!({ "enabled": "yes" }), parameter, "properties.enabled");
    check(json!({ "description": "123456" }), parameter, "properties.description");
    check(json!({ "scope": "Broad" }), parameter, "properties.scope");
    check(json!({ "since": "yesterday" }), parameter, "properties.since");
    check(json!({ "peer": "a/b" }), parameter, "properties.peer");
    check(json!({ "words": ["a", "b", "c"] }), parameter, "properties.words");
    check(json!({ "words": ["a", "long"] }), parameter, "properties.words[1]");
    check(json!({ "policies": { "retention": { "days": 366 } } }), parameter, "properties.policies.retention.days");
    check(json!({ "policies": 1 }), content, "properties.policies");
    check(json!({ "policies": { "other": 1 } }), content, "properties.policies.other");
    check(json!({ "policies": { "retention": { "other": 1 } } }), content, "properties.policies.retention.other");
    check(json!({ "encryption": {} }), "FeatureNotSupported", "properties.encryption");
    check(
        json!({ "policies": { "retention": { "status": "Enabled" } } }),
        "FeatureNotSupported",
        "properties.policies.retention.status",
    );
}

#[test]
fn the_envelope_is_checked() {
    let target = |target: &str| Some(target.to_owned());
    assert_eq!(error(json!([]), None), ("InvalidRequestContent".to_owned(), None));
    assert_eq!(error(json!({}), None), ("LocationRequired".to_owned(), target("location")));
    assert_eq!(error(json!({ "location": "a/b" }), None).1, target("location"));
    assert_eq!(error(json!({ "location": "a", "other": 1 }), None).1, target("other"));
    assert_eq!(error(json!({ "location": "a", "sku": {} }), None).1, target("sku.name"));
    assert_eq!(error(json!({ "location": "a", "tags": { "a": 1 } }), None).1, target("tags.a"));
    assert_eq!(error(json!({ "location": "a", "tags": { "a": "", "A": "" } }), None).1, target("tags.a"));
}

#[test]
fn limits_of_tags() {
    use kogge_types::limits;
    let put = |count: usize, name: usize, value: usize| {
        let tags: Map<String, Value> =
            (0..count).map(|i| (format!("{i:0>name$}"), Value::from("v".repeat(value)))).collect();
        super::put(&SAMPLE, &json!({ "location": "a", "tags": tags }), None).is_ok()
    };
    let (count, name, value) =
        (limits::TAGS_PER_RESOURCE_MAX, limits::RESOURCE_TAG_NAME_CHARS_MAX, limits::RESOURCE_TAG_VALUE_CHARS_MAX);
    assert!(put(count, name, value));
    assert!(!put(count + 1, 3, 0) && !put(1, name + 1, 0) && !put(1, 1, value + 1));
}

#[test]
fn what_only_the_maker_says_stays() {
    let existing = made(json!({ "location": "here", "properties": { "scope": "narrow", "enabled": true } }));
    let replaced = put(&SAMPLE, &json!({ "properties": {} }), Some(&existing)).expect("kept");
    assert_eq!(replaced.location.as_deref(), Some("here"));
    assert_eq!(replaced.registers, Registers::from([("properties.scope".to_owned(), json!("Narrow"))]));
    let (code, target) = error(json!({ "properties": { "scope": "Wide" } }), Some(&existing));
    assert_eq!((code.as_str(), target.as_deref()), ("PropertyChangeNotAllowed", Some("properties.scope")));
    assert_eq!(error(json!({ "location": "there" }), Some(&existing)).0, "InvalidResourceLocation");
    let default = made(json!({ "location": "here" }));
    assert!(put(&SAMPLE, &json!({ "properties": { "scope": "Wide" } }), Some(&default)).is_ok());
}

#[test]
fn a_patch_changes_what_it_names() {
    let existing = made(json!({
        "location": "here",
        "tags": { "a": "1", "b": "2" },
        "properties": { "enabled": true, "words": ["a"], "policies": { "retention": { "days": 3, "status": "disabled" } } },
    }));
    let patched = |body: Value| patch(&SAMPLE, &body, &existing).expect("a body that is right").registers;
    assert_eq!(patched(json!({})), existing.registers);
    assert_eq!(patched(json!({ "location": "HERE", "properties": { "state": "x" } })), existing.registers);
    let changed = patched(json!({ "properties": { "enabled": null, "policies": { "retention": { "Days": 4 } } } }));
    assert_eq!(changed.get("properties.enabled"), None);
    assert_eq!(changed["properties.policies.retention"], json!({ "days": 4, "status": "disabled" }));
    let reset = patched(json!({ "properties": { "policies": { "retention": { "days": null } }, "words": [] } }));
    assert_eq!(reset["properties.policies.retention"], json!({ "status": "disabled" }));
    assert_eq!(reset["properties.words"], json!([]));
    let retagged = patched(json!({ "tags": { "c": "3" } }));
    assert_eq!(retagged.keys().filter(|key| key.starts_with("tags")).collect::<Vec<_>>(), ["tags.c"]);
    assert!(!patched(json!({ "tags": {} })).keys().any(|key| key.starts_with("tags")));
    let refused = patch(&SAMPLE, &json!({ "properties": { "scope": "narrow" } }), &existing);
    assert_eq!(refused.expect_err("made without").code, "PropertyChangeNotAllowed");
}

#[test]
fn what_nobody_set_is_shown_as_its_default() {
    let desired = made(json!({ "location": "here", "properties": { "policies": { "retention": { "days": 3 } } } }));
    let expected = json!({
        "tags": {},
        "properties": {
            "enabled": false,
            "state": "Succeeded",
            "scope": "Wide",
            "policies": { "retention": { "days": 3, "status": "disabled" } },
        },
    });
    assert_eq!(Value::Object(properties(&SAMPLE, &desired.registers)), expected);
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("properties"),
        Just("tags"),
        Just("sku"),
        Just("name"),
        Just("enabled"),
        Just("policies"),
        Just("retention"),
        Just("words"),
        Just("ä.b"),
        Just(""),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,4}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn any_properties() -> impl Strategy<Value = Value> {
    let tags = prop::collection::btree_map("[a-z.]{1,3}", "[a-z]{0,3}", 0..3);
    let words = prop::collection::vec("[a-zä]{0,3}", 0..2);
    (tags, any::<Option<bool>>(), any::<bool>(), prop::option::of(0..=365), prop::option::of(words)).prop_map(
        |(tags, enabled, wide, days, words)| {
            json!({
                "location": "here",
                "tags": tags,
                "properties": {
                    "enabled": enabled,
                    "scope": if wide { "Wide" } else { "Narrow" },
                    "policies": { "retention": { "days": days } },
                    "words": words,
                },
            })
        },
    )
}

proptest! {
    #[test]
    fn no_body_is_too_strange(body in any_json()) {
        let existing = Desired { location: Some("here".to_owned()), ..Desired::default() };
        let _ = put(&SAMPLE, &body, None);
        let _ = patch(&SAMPLE, &body, &existing);
    }

    #[test]
    fn what_is_shown_can_be_put_back(body in any_properties()) {
        let desired = made(body);
        let mut shown = properties(&SAMPLE, &desired.registers);
        shown.insert("location".to_owned(), "Here".into());
        let shown = Value::Object(shown);
        for again in [
            put(&SAMPLE, &shown, Some(&desired)).expect("put back"),
            patch(&SAMPLE, &shown, &desired).expect("patched with itself"),
        ] {
            prop_assert_eq!(properties(&SAMPLE, &again.registers), properties(&SAMPLE, &desired.registers));
        }
    }

    #[test]
    fn a_patch_twice_is_a_patch_once(body in any_properties(), change in any_properties()) {
        let existing = made(body);
        if let Ok(once) = patch(&SAMPLE, &change, &existing) {
            let twice = patch(&SAMPLE, &change, &once).expect("as before");
            prop_assert_eq!(once, twice);
        }
    }
}
