//! Pages of listings: in which order they come, and behind what they begin.

/// In which order a listing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Tags in the byte order of their names, manifests in that of their digests.
    #[default]
    Name,
    /// What was updated last comes first.
    Newest,
    /// What was updated first comes first.
    Oldest,
}

/// The item behind which a page begins. It need not be there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<T> {
    pub item: T,
    /// When it was last updated, in microseconds since the Unix epoch. Not looked at in the order of names.
    pub updated_at_us: i64,
}

impl Order {
    /// The comparison with a cursor and the order, of rows with the key `key` and the time `time`: `?2` is the cursor's
    /// key, `?3` its time.
    pub(crate) fn clauses(self, key: &str, time: &str) -> (String, String) {
        match self {
            Self::Name => (format!("{key} > ?2"), key.to_owned()),
            Self::Newest => (format!("({time}, {key}) < (?3, ?2)"), format!("{time} DESC, {key} DESC")),
            Self::Oldest => (format!("({time}, {key}) > (?3, ?2)"), format!("{time}, {key}")),
        }
    }

    /// The time that stands for no cursor: every row lies behind it.
    pub(crate) fn start_us(self) -> i64 {
        match self {
            Self::Newest => i64::MAX,
            Self::Name | Self::Oldest => i64::MIN,
        }
    }
}
