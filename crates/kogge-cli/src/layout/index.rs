//! A layout's `index.json`: which manifests it has, and under which names.

use kogge_types::{Descriptor, Reference, Tag, media_type};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// The annotation that names an entry (OCI image specification, "Pre-Defined Annotation Keys").
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Tags that an error lists.
const TAGS_SHOWN_MAX: usize = 20;

/// The entry point. What others wrote in it stays as it is.
#[derive(Debug, Clone)]
pub(crate) struct LayoutIndex {
    content: Value,
}

impl LayoutIndex {
    pub(crate) fn empty() -> Self {
        Self { content: json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] }) }
    }

    /// Reads `text`; `what` names its place in errors.
    pub(crate) fn parse(text: &[u8], what: &str) -> Result<Self> {
        let content: Value = serde_json::from_slice(text)
            .map_err(|error| Error::general(format!("the index.json of {what} is not JSON")).because(error))?;
        if !content.get("manifests").is_some_and(Value::is_array) {
            return Err(Error::general(format!("the index.json of {what} has no list of manifests")));
        }
        Ok(Self { content })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.content).expect("JSON values can be written")
    }

    /// The entries that can be read, in their order.
    pub(crate) fn entries(&self) -> Vec<Descriptor> {
        self.values().iter().filter_map(|value| serde_json::from_value(value.clone()).ok()).collect()
    }

    /// The tags that entries have.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.entries().iter().filter_map(tag_of).collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// The entry that `reference` names. Without one, the only entry that has a name, or the only entry.
    pub(crate) fn find(&self, reference: Option<&Reference>, what: &str) -> Result<Descriptor> {
        let mut entries = self.entries();
        if entries.is_empty() {
            return Err(Error::not_found(format!("{what} holds no image")));
        }
        match reference {
            Some(Reference::Tag(tag)) => {
                let found = entries.into_iter().rfind(|entry| tag_of(entry).as_ref() == Some(tag));
                found.ok_or_else(|| self.with_tags(Error::not_found(format!("{what} has no image tagged `{tag}`"))))
            }
            Some(Reference::Digest(digest)) => {
                let found = entries.into_iter().find(|entry| entry.digest == *digest);
                found.ok_or_else(|| Error::not_found(format!("the index.json of {what} does not name {digest}")))
            }
            None => {
                if entries.len() > 1 {
                    entries.retain(|entry| tag_of(entry).is_some());
                }
                entries.dedup_by_key(|entry| entry.digest);
                match <[Descriptor; 1]>::try_from(entries) {
                    Ok([only]) => Ok(only),
                    Err(_) => {
                        let error = Error::usage(format!("{what} holds several images; say which one"));
                        Err(self
                            .with_tags(error)
                            .hint("write `oci:DIR:TAG`, `oci-archive:FILE.tar:TAG`, or `…@DIGEST`"))
                    }
                }
            }
        }
    }

    /// Adds an entry, named by `tag` or without a name. An older entry of that name loses it; one of the same digest
    /// and name is replaced.
    pub(crate) fn put(&mut self, entry: &Descriptor, tag: Option<&Tag>) {
        let same = |value: &Value| value.get("digest").and_then(Value::as_str) == Some(&entry.digest.to_string());
        let named = |value: &Value| value.pointer("/annotations").and_then(|own| own.get(REF_NAME)).is_some();
        let has_tag = |value: &Value| {
            let own = serde_json::from_value::<Descriptor>(value.clone()).ok();
            tag.is_some() && own.as_ref().and_then(tag_of).as_ref() == tag
        };
        let values = self.values_mut();
        match tag {
            None if values.iter().any(same) => return,
            None => {}
            Some(_) => values.retain(|value| !has_tag(value) && (!same(value) || named(value))),
        }
        let mut entry = entry.clone();
        if let Some(tag) = tag {
            entry.annotations.get_or_insert_default().insert(REF_NAME.to_owned(), tag.to_string());
        }
        values.push(serde_json::to_value(&entry).expect("descriptors can be written"));
    }

    fn values(&self) -> &[Value] {
        self.content.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn values_mut(&mut self) -> &mut Vec<Value> {
        self.content.get_mut("manifests").and_then(Value::as_array_mut).expect("it was checked on construction")
    }

    fn with_tags(&self, error: Error) -> Error {
        let tags = self.tags();
        if tags.is_empty() {
            return error;
        }
        let shown: Vec<&str> = tags.iter().map(Tag::as_str).take(TAGS_SHOWN_MAX).collect();
        let more = if tags.len() > shown.len() { ", …" } else { "" };
        error.hint(format!("it has {}{more}", shown.join(", ")))
    }
}

/// An entry's tag. Some tools write the whole reference there; its tag counts then.
fn tag_of(entry: &Descriptor) -> Option<Tag> {
    let name = entry.annotations.as_ref()?.get(REF_NAME)?;
    let last = name.rsplit('/').next()?;
    last.split_once(':').map_or(last, |(_, tag)| tag).parse().ok()
}

#[cfg(test)]
mod tests {
    use kogge_types::Digest;

    use super::*;

    fn entry(content: &str) -> Descriptor {
        Descriptor {
            media_type: media_type::OCI_MANIFEST.to_owned(),
            digest: Digest::sha256(content.as_bytes()),
            size: content.len() as u64,
            artifact_type: None,
            annotations: None,
            platform: None,
        }
    }

    fn tag(text: &str) -> Tag {
        text.parse().expect(text)
    }

    fn found(index: &LayoutIndex, reference: Option<&str>) -> Option<Digest> {
        let reference = reference.map(|text| text.parse().expect(text));
        index.find(reference.as_ref(), "the layout").ok().map(|entry| entry.digest)
    }

    #[test]
    fn entries_are_found_by_tag_by_digest_or_alone() {
        let (a, b) = (entry("a"), entry("b"));
        let mut index = LayoutIndex::empty();
        assert_eq!(found(&index, None), None);
        index.put(&a, None);
        assert_eq!(found(&index, None), Some(a.digest));
        index.put(&b, Some(&tag("v1")));
        assert_eq!(found(&index, None), Some(b.digest), "the only one with a name");
        assert_eq!(found(&index, Some("v1")), Some(b.digest));
        assert_eq!(found(&index, Some(&a.digest.to_string())), Some(a.digest));
        assert_eq!(found(&index, Some("v2")), None);
        index.put(&a, Some(&tag("v2")));
        assert_eq!(found(&index, None), None, "two names");
        assert_eq!(index.tags(), [tag("v1"), tag("v2")]);
    }

    #[test]
    fn a_tag_moves_and_an_entry_is_not_repeated() {
        let (a, b) = (entry("a"), entry("b"));
        let mut index = LayoutIndex::empty();
        for _ in 0..2 {
            index.put(&a, Some(&tag("v1")));
            index.put(&a, Some(&tag("v2")));
            index.put(&a, None);
        }
        assert_eq!(index.entries().len(), 2);
        index.put(&b, Some(&tag("v1")));
        assert_eq!(found(&index, Some("v1")), Some(b.digest));
        assert_eq!(found(&index, Some("v2")), Some(a.digest));
        assert_eq!(index.entries().len(), 2);
    }

    #[test]
    fn what_others_wrote_stays() {
        let text =
            br#"{"schemaVersion":2,"x-own":1,"manifests":[{"mediaType":"a/b","digest":"md5:0","size":1,"k":"v"}]}"#;
        let mut index = LayoutIndex::parse(text, "x").expect("an index");
        assert!(index.entries().is_empty(), "an unknown algorithm cannot be copied");
        index.put(&entry("a"), Some(&tag("v1")));
        let written: Value = serde_json::from_slice(&index.to_bytes()).expect("JSON");
        assert_eq!((&written["x-own"], &written["manifests"][0]["k"]), (&json!(1), &json!("v")));
        for bad in ["", "[]", "{}", r#"{"manifests":{}}"#] {
            assert!(LayoutIndex::parse(bad.as_bytes(), "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn whole_references_as_names_are_understood() {
        let mut named = entry("a");
        named.annotations.get_or_insert_default().insert(REF_NAME.to_owned(), "reg.io:5000/x/y:v7".to_owned());
        let mut index = LayoutIndex::empty();
        index.put(&named, None);
        assert_eq!(found(&index, Some("v7")), Some(named.digest));
    }
}
