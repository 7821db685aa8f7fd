//! Lists of resources, in pages: what the caller may read of what a holder has, or a whole subscription.

use std::collections::HashMap;

use http::StatusCode;
use kogge_meta::{Resource, Snapshot};
use kogge_types::limits;
use serde_json::{Map, Value, json};

use crate::ancestry::spelled;
use crate::behaviour::Asker;
use crate::call::{Call, Reply};
use crate::declaration::{ResourceType, Verb};
use crate::error::Result;
use crate::operation::Does;
use crate::query::Query;
use crate::reading::show;
use crate::selection::Selection;
use crate::types::TYPES;
use crate::types::resource_group::RESOURCE_GROUP;

/// A listing under way. Its cost is that of the rows it passes, and these are bounded.
struct Listing {
    asker: Asker,
    /// The path whose resources, or whose resources at any depth, are listed, in lower case.
    within: String,
    /// Whether it is one holder's own list, which begins with what is built in.
    of_holder: bool,
    selection: Selection,
    /// Where the page begins: a type, a parent, a name.
    after: Vec<String>,
    top: usize,
}

/// One page.
struct Page {
    value: Vec<Value>,
    /// The last resource passed, when there are more.
    last: Option<Vec<String>>,
}

impl Call<'_> {
    /// The resources of one type.
    pub(crate) async fn list(&self, ty: &'static ResourceType) -> Result<Reply> {
        let selection = ty.behaviour.selection(self.query.filter.as_deref())?;
        let of_holder = matches!(self.route.operation.does, Does::Verb(_, Verb::List));
        self.page(selection, vec![ty], of_holder, |shown| shown).await
    }

    /// The tracked resources of every type, without what only their own type's answers tell.
    pub(crate) async fn list_resources(&self) -> Result<Reply> {
        let selection = Selection::read(self.query.filter.as_deref())?;
        let is_listed = |ty: &&ResourceType| {
            ty.is_tracked() && !std::ptr::eq::<ResourceType>(*ty, &RESOURCE_GROUP) && selection.admits_type(ty.name)
        };
        let types = TYPES.iter().copied().filter(is_listed).collect();
        self.page(selection, types, false, summary).await
    }

    /// The list of a holder that has none of what is asked for.
    pub(crate) async fn list_none(&self) -> Result<Reply> {
        let holder = self.route.holder.clone();
        self.read(move |snapshot| spelled(snapshot, &holder)).await?;
        Ok(Reply::ok(json!({ "value": [] })))
    }

    async fn page(
        &self,
        selection: Selection,
        types: Vec<&'static ResourceType>,
        of_holder: bool,
        form: fn(Value) -> Value,
    ) -> Result<Reply> {
        let Query { top, after, .. } = self.query.clone();
        let (holder, asker) = (self.route.holder.clone(), self.asker());
        // Nobody was asked for a right: who may not see the holder gets the answer of an empty one.
        let open = self.route.operation.lists_across() || self.route.operation.action().is_none();
        let hidden = open && !asker.may(&format!("{}/read", RESOURCE_GROUP.name), &holder);
        let page = self.read(move |snapshot| {
            let within = match spelled(snapshot, &holder) {
                Err(error) if hidden && error.status == StatusCode::NOT_FOUND => {
                    return Ok(Page { value: Vec::new(), last: None });
                }
                holder => holder?.to_lowercase(),
            };
            Listing { asker, within, of_holder, selection, after, top }.read(snapshot, &types)
        });
        let page = page.await?;
        let mut body = json!({ "value": page.value.into_iter().map(form).collect::<Vec<_>>() });
        if let Some(last) = &page.last {
            let address = format!("{}{}", self.request.base_url, self.request.path);
            let last: Vec<&str> = last.iter().map(String::as_str).collect();
            body["nextLink"] = self.query.next_link(&address, &last).into();
        }
        Ok(Reply::ok(body))
    }
}

impl Listing {
    fn read(&self, snapshot: &Snapshot<'_>, types: &[&'static ResourceType]) -> Result<Page> {
        let mut page = Page { value: Vec::new(), last: None };
        let (first, mut after) = match self.after.as_slice() {
            [kind, parent, name] => {
                let first = types.iter().position(|ty| ty.kind() == *kind).unwrap_or(types.len());
                (first, Some((parent.clone(), name.clone())))
            }
            _ => (0, None),
        };
        let mut rows_left = limits::LISTING_ROWS_MAX;
        let mut passed = self.after.clone();
        for ty in &types[first.min(types.len())..] {
            let mut names = HashMap::new();
            if after.is_none() && self.of_holder {
                for resource in ty.behaviour.built_in(&self.asker.deployment, &self.within) {
                    page.value.extend(self.visible(snapshot, ty, &resource, &mut names)?);
                }
            }
            loop {
                let last = after.as_ref().map(|(parent, name)| (parent.as_str(), name.as_str()));
                let limit = self.top.max(limits::PAGE_RESOURCES_DEFAULT).min(rows_left);
                let rows = snapshot.resources(&ty.kind(), &self.within, last, limit)?;
                let more = rows.len() == limit;
                for resource in rows {
                    let visible = self.visible(snapshot, ty, &resource, &mut names)?;
                    if visible.is_some() && page.value.len() >= self.top {
                        return Ok(Page { last: Some(passed), ..page });
                    }
                    page.value.extend(visible);
                    passed = vec![ty.kind(), resource.parent.clone(), resource.name.clone()];
                    after = Some((resource.parent, resource.name));
                    rows_left -= 1;
                    if rows_left == 0 {
                        return Ok(Page { last: Some(passed), ..page });
                    }
                }
                if !more {
                    break;
                }
            }
            after = None;
        }
        Ok(page)
    }

    /// How a resource is shown, when it is asked for and the caller may read it. `names` are the spelled paths of
    /// parents that came before.
    fn visible(
        &self,
        snapshot: &Snapshot<'_>,
        ty: &'static ResourceType,
        resource: &Resource,
        names: &mut HashMap<String, String>,
    ) -> Result<Option<Value>> {
        if !self.may_read(ty, resource) {
            return Ok(None);
        }
        let holder = match names.get(&resource.parent) {
            Some(holder) => holder,
            None => names.entry(resource.parent.clone()).or_insert(spelled(snapshot, &resource.parent)?),
        };
        let shown = show(snapshot, &self.asker.deployment, ty, holder, resource)?;
        Ok(Some(shown).filter(|shown| self.selection.admits(shown)))
    }

    fn may_read(&self, ty: &ResourceType, resource: &Resource) -> bool {
        self.asker.may(&format!("{}/read", ty.name), &resource.path())
    }
}

/// What listings of all types tell of a resource.
fn summary(shown: Value) -> Value {
    let Value::Object(entries) = shown else { return shown };
    let told = ["id", "name", "type", "location", "tags", "sku", "identity", "managedBy", "systemData"];
    Value::Object(entries.into_iter().filter(|(key, _)| told.contains(&key.as_str())).collect::<Map<_, _>>())
}
