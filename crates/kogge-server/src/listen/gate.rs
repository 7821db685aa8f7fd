//! Who may connect: the bound per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Counts the connections of each address. Clones share the counts.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    counts: Arc<Mutex<HashMap<IpAddr, u32>>>,
    per_address_max: u32,
    exempt: Arc<[IpNet]>,
}

/// One admitted connection; dropping it makes room.
#[derive(Debug)]
pub(super) struct Admission {
    gate: Gate,
    counted: Option<IpAddr>,
}

impl Gate {
    pub(super) fn new(per_address_max: u32, exempt: &[IpNet]) -> Self {
        Self { counts: Arc::default(), per_address_max, exempt: exempt.into() }
    }

    /// Admits a connection unless its address has as many as it may have.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Admission> {
        if self.exempt.iter().any(|network| network.contains(&address)) {
            return Some(Admission { gate: self.clone(), counted: None });
        }
        let key = site(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Admission { gate: self.clone(), counted: Some(key) })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Some(key) = self.counted else { return };
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&key);
            }
        }
    }
}

/// What one customer of a network provider has: an IPv4 address or an IPv6 /64.
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn an_address_has_at_most_its_share() {
        let gate = Gate::new(2, &["10.0.0.0/8".parse().expect("network")]);
        let first = gate.admit(ip("192.0.2.1")).expect("room");
        let _second = gate.admit(ip("192.0.2.1")).expect("room");
        assert!(gate.admit(ip("192.0.2.1")).is_none());
        assert!(gate.admit(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(gate.admit(ip("192.0.2.1")).is_some());
        let proxied: Vec<_> = (0..5).map(|_| gate.admit(ip("10.1.2.3"))).collect();
        assert!(proxied.iter().all(Option::is_some));
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let gate = Gate::new(1, &[]);
        let _first = gate.admit(ip("2001:db8::1")).expect("room");
        assert!(gate.admit(ip("2001:db8::ffff:1")).is_none());
        assert!(gate.admit(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let gate = Gate::new(1, &[]);
        drop(gate.admit(ip("192.0.2.1")));
        assert!(gate.counts.lock().expect("lock").is_empty());
    }
}
