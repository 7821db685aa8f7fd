//! Resources of all types: what `az acr` finds a registry by when no group is named.

use http::Method;

use crate::call::{Call, Reply};
use crate::declaration::{Function, Holder, Right};
use crate::error::Result;
use crate::property::{Kind, Property};

const WORD: Kind = Kind::Text { max: 256 };

const LISTED: &[Property] = &[Property::new(
    "value",
    Kind::List {
        of: &Kind::Object(&[
            Property::new("id", Kind::ResourceId),
            Property::new("name", WORD),
            Property::new("type", WORD),
            Property::new("location", WORD),
        ]),
        max: 1_000,
    },
)];

/// Who may not read a resource does not see it; the listing itself needs no right.
const fn listing(name: &'static str, at: Holder) -> Function {
    Function {
        name,
        method: Method::GET,
        at,
        path: "/resources",
        right: Right::Authenticated,
        request: &[],
        response: LISTED,
        handler: |call| Box::pin(list(call)),
    }
}

pub(crate) static OF_SUBSCRIPTION: Function = listing("Resources_List", Holder::Subscription);
pub(crate) static OF_GROUP: Function = listing("Resources_ListByResourceGroup", Holder::ResourceGroup);

async fn list(call: &Call<'_>) -> Result<Reply> {
    call.list_resources().await
}
