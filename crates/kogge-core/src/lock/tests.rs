//! Attributes: set in part, kept apart at their levels, enforced by every verb.

use kogge_meta::Attributes;
use kogge_types::{Code, Digest, Reference, Tag};

use crate::core::Target;
use crate::error::Result;
use crate::fixture::{Bench, bench, body, code, image, image_of};
use crate::listing::TagQuery;
use crate::lock::AttributesPatch;
use crate::upload::UploadStart;

const NONE: AttributesPatch =
    AttributesPatch { delete_enabled: None, write_enabled: None, read_enabled: None, list_enabled: None };
const OPEN: AttributesPatch = AttributesPatch {
    delete_enabled: Some(true),
    write_enabled: Some(true),
    read_enabled: Some(true),
    list_enabled: Some(true),
};

#[test]
fn a_patch_is_any_subset_and_nothing_else() {
    let read = |text: &str| AttributesPatch::from_json(text.as_bytes());
    assert_eq!(read("{}").unwrap(), NONE);
    assert_eq!(read(r#"{"writeEnabled":false}"#).unwrap(), AttributesPatch { write_enabled: Some(false), ..NONE });
    assert_eq!(
        read(r#"{"deleteEnabled":true,"writeEnabled":true,"readEnabled":true,"listEnabled":true}"#).unwrap(),
        OPEN
    );
    for wrong in [
        "",
        "true",
        "null",
        "[false]",
        "[]",
        r#"{"writeEnabled":"false"}"#,
        r#"{"writeEnabled":0}"#,
        r#"{"write_enabled":false}"#,
        r#"{"quarantineState":"Passed"}"#,
        r#"{"writeEnabled":false,"writeEnabled":true}"#,
        r#"{"writeEnabled":false} x"#,
    ] {
        assert_eq!(code(read(wrong)), Code::FormInvalid, "{wrong}");
    }
    let message = read(r#" {"quarantineState":"Passed"}"#).unwrap_err().message;
    assert!(message.contains("quarantineState") && message.contains("deleteEnabled"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_patch_does_not_name_stays() {
    let bench = bench().await;
    let target = bench.target("app");
    let digest = bench.push("app", "v1", &[b"config"]).await;
    let tag: Tag = "v1".parse().unwrap();
    let steps = [
        (AttributesPatch { delete_enabled: Some(false), ..NONE }, [false, true, true, true]),
        (
            AttributesPatch { write_enabled: Some(false), read_enabled: Some(false), ..NONE },
            [false, false, false, true],
        ),
        (NONE, [false, false, false, true]),
        (
            AttributesPatch { delete_enabled: Some(true), list_enabled: Some(false), ..NONE },
            [true, false, false, false],
        ),
        (OPEN, [true; 4]),
    ];
    for (patch, [delete_enabled, write_enabled, read_enabled, list_enabled]) in steps {
        let expected = Attributes { delete_enabled, write_enabled, read_enabled, list_enabled };
        assert_eq!(bench.core.set_repository_attributes(&target, patch).await.unwrap().attributes, expected);
        assert_eq!(bench.core.set_tag_attributes(&target, &tag, patch).await.unwrap().attributes, expected);
        assert_eq!(bench.core.set_manifest_attributes(&target, &digest, patch).await.unwrap().attributes, expected);
        assert_eq!(bench.core.describe_repository(&target).await.unwrap().attributes, expected);
        assert_eq!(bench.core.describe_tag(&target, &tag).await.unwrap().attributes, expected);
        assert_eq!(bench.core.describe_manifest(&target, &digest).await.unwrap().attributes, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_changes_nothing_writes_nothing() {
    let bench = bench().await;
    let target = bench.target("app");
    bench.push("app", "v1", &[b"config"]).await;
    let head = async || bench.meta.read(|snapshot| snapshot.journal_head()).await.unwrap();
    let before = head().await;
    bench.core.set_repository_attributes(&target, OPEN).await.unwrap();
    bench.core.set_tag_attributes(&target, &"v1".parse().unwrap(), NONE).await.unwrap();
    assert_eq!(head().await.seq, before.seq);
    bench.core.set_repository_attributes(&target, AttributesPatch { read_enabled: Some(false), ..NONE }).await.unwrap();
    assert!(head().await.seq > before.seq);
}

/// Every verb that a lock may forbid.
const VERBS: [&str; 11] = [
    "pull by tag",
    "pull by digest",
    "pull a blob",
    "list",
    "start an upload",
    "mount",
    "push",
    "move the tag",
    "untag",
    "delete the manifest",
    "delete the repository",
];

/// Does one verb to an image that is tagged `v1`, in a repository of its own.
async fn act(bench: &Bench, verb: &str, target: &Target, digest: Digest) -> Result<()> {
    let (core, name) = (&bench.core, target.repository.as_str());
    let tag: Tag = "v1".parse().unwrap();
    match verb {
        "pull by tag" => core.get_manifest(target, &Reference::Tag(tag)).await.map(drop),
        "pull by digest" => core.get_manifest(target, &Reference::Digest(digest)).await.map(drop),
        "pull a blob" => core.stat_blob(target, &Digest::sha256(b"config")).await.map(drop),
        "list" => core.describe_tags(target, TagQuery::default(), 10).await.map(drop),
        "start an upload" => {
            core.start_upload(target, UploadStart { algorithm: kogge_types::Algorithm::Sha256 }).await.map(drop)
        }
        "mount" => core.mount_blob(target, &"source".parse().unwrap(), &Digest::sha256(b"source")).await.map(drop),
        "push" => bench.put(name, "v2", image_of(&[b"config"], None, 2)).await.map(drop),
        "move the tag" => bench.put(name, "v1", image_of(&[b"config"], None, 1)).await.map(drop),
        "untag" => core.untag(target, &tag).await,
        "delete the manifest" => core.delete_manifest(target, &digest).await,
        "delete the repository" => core.delete_repository(target).await.map(drop),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_keeps_to_every_lock_at_every_level() {
    let bench = bench().await;
    bench.push_blob("source", b"source").await;
    let read = AttributesPatch { read_enabled: Some(false), ..NONE };
    let write = AttributesPatch { write_enabled: Some(false), ..NONE };
    let delete = AttributesPatch { delete_enabled: Some(false), ..NONE };
    let list = AttributesPatch { list_enabled: Some(false), ..NONE };
    let deletes = ["delete the manifest", "delete the repository"];
    let cases: [(&str, &str, AttributesPatch, &[&str]); 12] = [
        ("repository", "read", read, &["pull by tag", "pull by digest", "pull a blob"]),
        (
            "repository",
            "write",
            write,
            &["start an upload", "mount", "push", "move the tag", "untag", deletes[0], deletes[1]],
        ),
        ("repository", "delete", delete, &["untag", deletes[0], deletes[1]]),
        ("repository", "list", list, &[]),
        ("tag", "read", read, &["pull by tag"]),
        ("tag", "write", write, &["move the tag", "untag", deletes[0], deletes[1]]),
        ("tag", "delete", delete, &["untag", deletes[0], deletes[1]]),
        ("tag", "list", list, &[]),
        ("manifest", "read", read, &["pull by tag", "pull by digest"]),
        ("manifest", "write", write, &deletes),
        ("manifest", "delete", delete, &deletes),
        ("manifest", "list", list, &[]),
    ];
    for (level, lock, patch, forbidden) in cases {
        for (number, verb) in VERBS.into_iter().enumerate() {
            let name = format!("{level}/{lock}/{number}");
            let target = bench.target(&name);
            let digest = bench.push(&name, "v1", &[b"config"]).await;
            match level {
                "repository" => drop(bench.core.set_repository_attributes(&target, patch).await.unwrap()),
                "tag" => drop(bench.core.set_tag_attributes(&target, &"v1".parse().unwrap(), patch).await.unwrap()),
                _ => drop(bench.core.set_manifest_attributes(&target, &digest, patch).await.unwrap()),
            }
            let done = act(&bench, verb, &target, digest).await;
            if forbidden.contains(&verb) {
                assert_eq!(code(done), Code::Disallowed, "{verb} with {lock} off on the {level}");
            } else {
                done.unwrap_or_else(|error| panic!("{verb} with {lock} off on the {level}: {error}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_began_before_the_lock_ends_at_it() {
    let bench = bench().await;
    let target = bench.target("app");
    bench.push("app", "v1", &[b"config"]).await;
    let start = UploadStart { algorithm: kogge_types::Algorithm::Sha256 };
    let upload = bench.core.start_upload(&target, start).await.unwrap();
    let lock = AttributesPatch { write_enabled: Some(false), ..NONE };
    bench.core.set_repository_attributes(&target, lock).await.unwrap();
    let digest = Digest::sha256(b"late");
    let closed = bench.core.finish_upload(&target, upload.id, &digest, None, body(b"late", 4)).await;
    assert_eq!(code(closed), Code::Disallowed);
    let whole = bench.core.put_blob(&target, &digest, body(b"late", 4)).await;
    assert_eq!(code(whole), Code::Disallowed);
    assert_eq!(bench.read("app", &digest).await, None);
    bench.core.set_repository_attributes(&target, OPEN).await.unwrap();
    bench.push_blob("app", b"late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_manifest_takes_its_repository_and_what_was_set_on_it() {
    let bench = bench().await;
    let target = bench.target("app");
    let digest = bench.push("app", "v1", &[b"config"]).await;
    let unread = AttributesPatch { read_enabled: Some(false), ..NONE };
    bench.core.set_repository_attributes(&target, unread).await.unwrap();
    bench.core.delete_manifest(&target, &digest).await.unwrap();
    assert_eq!(code(bench.core.describe_repository(&target).await), Code::NameUnknown);
    bench.put("app", "v1", image(&[b"config"])).await.unwrap();
    assert_eq!(bench.resolve("app", "v1").await, Some(digest));
}
