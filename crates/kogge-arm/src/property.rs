//! Properties of resources, declared: name, kind of value, who may set it, what it is when nobody did, and which of
//! its values can be honoured.

use serde_json::Value;

/// One property. Its value is one register: what is stored, merged and stamped as a unit.
#[derive(Debug)]
pub(crate) struct Property {
    /// Where it stands: from the resource's root for a register (`properties.adminUserEnabled`), or its key within
    /// the object that declares it.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) mutability: Mutability,
    /// What is shown when nobody set it; `None` shows nothing.
    pub(crate) default: Option<Literal>,
    pub(crate) required: bool,
    pub(crate) support: Support,
}

/// What values a property has.
#[derive(Debug)]
pub(crate) enum Kind {
    Bool,
    Int {
        min: i64,
        max: i64,
    },
    /// A text of at most so many characters.
    Text {
        max: usize,
    },
    /// One of these words, read in any case and kept as written here.
    Enum(&'static [&'static str]),
    /// A point in time (RFC 3339).
    Time,
    /// The path of a resource.
    ResourceId,
    List {
        of: &'static Kind,
        max: usize,
    },
    /// Names with texts, each a register of its own when it is a register: tags. A PATCH replaces the whole, as
    /// `az … --tags ""` expects.
    Map {
        entries: usize,
        name: usize,
        value: usize,
    },
    /// An object, one register as a whole. A PATCH changes the keys that it names.
    Object(&'static [Property]),
}

/// Who may set a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutability {
    /// Nobody: it is worked out. What a client sends back is passed over.
    ReadOnly,
    /// Whoever makes the resource; later writes may only repeat it.
    CreateOnly,
    Mutable,
    /// Whoever writes the resource says it to the type's behaviour; it is no register.
    Aside,
}

/// Which values are honoured.
#[derive(Debug)]
pub(crate) enum Support {
    Honoured,
    /// These alone. Any other value is refused: it would be stored and do nothing.
    Only(&'static [Literal]),
}

/// A JSON value in a declaration.
#[derive(Debug)]
pub(crate) enum Literal {
    Bool(bool),
    Int(i64),
    Text(&'static str),
    List(&'static [Literal]),
    Object(&'static [(&'static str, Literal)]),
}

impl Literal {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Bool(value) => Value::from(*value),
            Self::Int(value) => Value::from(*value),
            Self::Text(value) => Value::from(*value),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
            Self::Object(entries) => entries.iter().map(|(key, value)| ((*key).to_owned(), value.to_json())).collect(),
        }
    }
}

impl Property {
    /// A property that anybody who may write the resource sets at any time.
    pub(crate) const fn new(path: &'static str, kind: Kind) -> Self {
        let (mutability, support) = (Mutability::Mutable, Support::Honoured);
        Self { path, kind, mutability, default: None, required: false, support }
    }

    #[must_use]
    pub(crate) const fn read_only(mut self) -> Self {
        self.mutability = Mutability::ReadOnly;
        self
    }

    #[must_use]
    pub(crate) const fn create_only(mut self) -> Self {
        self.mutability = Mutability::CreateOnly;
        self
    }

    #[must_use]
    pub(crate) const fn aside(mut self) -> Self {
        self.mutability = Mutability::Aside;
        self
    }

    #[must_use]
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What it is when nobody set it.
    #[must_use]
    pub(crate) const fn or(self, default: Literal) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The values that can be honoured so far.
    #[must_use]
    pub(crate) const fn only(self, values: &'static [Literal]) -> Self {
        Self { support: Support::Only(values), ..self }
    }
}

/// The object that its keys' own defaults fill.
pub(crate) const DEFAULTS: Literal = Literal::Object(&[]);
/// A switch whose words are capitalised, as in ACR's newer properties.
pub(crate) const SWITCH: Kind = Kind::Enum(&["Enabled", "Disabled"]);
/// A switch whose words are in lower case, as in ACR's policies.
pub(crate) const STATUS: Kind = Kind::Enum(&["enabled", "disabled"]);
