//! The declaration of a resource type: everything that is particular to it is said here once. Routes, rights,
//! validation, storage, answers and the OpenAPI document all come from it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::Method;
use kogge_types::limits;

use crate::behaviour::Behaviour;
use crate::call::{Call, Reply};
use crate::error::Result;
use crate::name_rule::NameRule;
use crate::property::{Kind, Property};

/// A type of resource.
#[derive(Debug)]
pub(crate) struct ResourceType {
    /// The whole name, in Azure's spelling: `Microsoft.ContainerRegistry/registries/tokens`. In lower case it is the
    /// kind under which the metadata keeps the resources; with `/read`, `/write` and `/delete` it names the rights.
    pub(crate) name: &'static str,
    pub(crate) holder: Holder,
    /// What API documents call the resource's name: `tokenName`.
    pub(crate) parameter: &'static str,
    pub(crate) naming: NameRule,
    pub(crate) placement: Placement,
    pub(crate) properties: &'static [Property],
    pub(crate) verbs: &'static [Verb],
    pub(crate) actions: &'static [Action],
    /// What no declaration can say.
    pub(crate) behaviour: &'static dyn Behaviour,
}

/// What holds resources of a type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder {
    Tenant,
    Subscription,
    ResourceGroup,
    Resource(&'static ResourceType),
    /// Anything that rights can be given on: the tenant, the subscription, a resource group, a resource.
    Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It has a location and tags.
    Tracked,
    /// It is where its holder is.
    Proxy,
}

/// What every resource can be asked for, as far as its type offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    /// Tell whether it exists: HEAD.
    Head,
    /// Make it, or replace all that it says.
    Put,
    Patch,
    Delete,
    /// List those of one holder.
    List,
    /// List those of the subscription, of a type that resource groups hold.
    ListBySubscription,
}

/// Something else that a resource can be asked for.
pub(crate) struct Action {
    /// The last segment of its path, and of its right: `<type>/<name>/action`, or `<type>/<name>/read` of a GET.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) request: &'static [Property],
    pub(crate) response: &'static [Property],
    pub(crate) handler: Handler,
}

/// Something that a holder can be asked for which is about no resource type of ours.
pub(crate) struct Function {
    /// What the OpenAPI document calls it.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) at: Holder,
    /// What follows the holder's path.
    pub(crate) path: &'static str,
    pub(crate) right: Right,
    pub(crate) request: &'static [Property],
    pub(crate) response: &'static [Property],
    pub(crate) handler: Handler,
}

/// What a caller must be allowed for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// Nothing: whoever asks is answered.
    Anonymous,
    /// Nothing, but callers must say who they are; answers show only what they may read.
    Authenticated,
    /// This action, at the scope that the path names.
    Action(Cow<'static, str>),
}

impl Right {
    pub(crate) const fn action(name: &'static str) -> Self {
        Self::Action(Cow::Borrowed(name))
    }
}

/// Carries an operation out. It is called only when its right has been decided.
pub(crate) type Handler = for<'a> fn(&'a Call<'a>) -> Pin<Box<dyn Future<Output = Result<Reply>> + Send + 'a>>;

/// The tags of a tracked resource (Azure's limits).
static TAGS: Property = Property::new(
    "tags",
    Kind::Map {
        entries: limits::TAGS_PER_RESOURCE_MAX,
        name: limits::RESOURCE_TAG_NAME_CHARS_MAX,
        value: limits::RESOURCE_TAG_VALUE_CHARS_MAX,
    },
);

impl ResourceType {
    /// The name in lower case, as the metadata keeps it.
    pub(crate) fn kind(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// `Microsoft.ContainerRegistry`.
    pub(crate) fn provider(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(provider, _)| provider)
    }

    /// The last part of the name, which stands before the resource's own in its path: `tokens`.
    pub(crate) fn collection(&self) -> &'static str {
        self.name.rsplit_once('/').map_or(self.name, |(_, collection)| collection)
    }

    /// Whether its path goes on from its holder's without naming the provider again.
    pub(crate) fn is_beside_its_holder(&self) -> bool {
        match self.holder {
            Holder::Resource(parent) => parent.provider() == self.provider(),
            Holder::Tenant | Holder::Subscription | Holder::ResourceGroup | Holder::Scope => {
                self.provider() == "Microsoft.Resources"
            }
        }
    }

    /// The path of one of its resources, whose holder has the path `holder`.
    pub(crate) fn path(&self, holder: &str, name: &str) -> String {
        let holder = holder.trim_end_matches('/');
        if self.is_beside_its_holder() {
            format!("{holder}/{}/{name}", self.collection())
        } else {
            format!("{holder}/providers/{}/{name}", self.name)
        }
    }

    /// All that is kept of a resource beside its name and location.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &'static Property> {
        let tags = (self.placement == Placement::Tracked).then_some(&TAGS);
        tags.into_iter().chain(self.properties)
    }

    pub(crate) fn is_tracked(&self) -> bool {
        self.placement == Placement::Tracked
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.name)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
