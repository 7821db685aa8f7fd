use kogge_core::auth::subject::PrincipalId;
use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn identity(id: u8) -> Identity {
    Identity::Caller(PrincipalId::Directory([id; 16]))
}

fn rate(interval: u64, capacity: u64) -> Rate {
    Rate { interval, capacity }
}

/// One thing that happens to a lane.
#[derive(Debug, Clone, Copy)]
enum Step {
    Arrive(u8),
    /// The one who has waited longest of all leaves.
    Leave,
    /// The last token that was taken comes back unused.
    GiveBack,
}

/// A lane, its clock and what came of it.
struct World {
    rates: Rates,
    lane: Lane<u8>,
    now: u64,
    waiting: Vec<(u8, Ticket)>,
    admitted: Vec<(u64, u8)>,
}

impl World {
    fn new(rates: Rates) -> Self {
        Self { rates, lane: Lane::default(), now: SECOND, waiting: Vec::new(), admitted: Vec::new() }
    }

    fn serve(&mut self) {
        let mut served = Vec::new();
        self.lane.serve(self.rates, self.now, |id| served.push(id));
        for id in served {
            let position = self.waiting.iter().position(|(waiter, _)| *waiter == id).expect("it waited");
            self.waiting.remove(position);
            self.admitted.push((self.now, id));
        }
        self.assert_nobody_waits_in_vain();
    }

    /// Nobody waits while there is a token for him.
    fn assert_nobody_waits_in_vain(&self) {
        for (id, _) in &self.waiting {
            let own = self.lane.own_ready_at(self.rates, identity(*id), self.now, 1);
            let all = ready_at(self.lane.bucket, self.rates.registry, self.now, 1);
            assert!(own.max(all) > self.now, "{id} waits for nothing at {}", self.now);
        }
    }

    /// Lets time pass, and serves whenever somebody's turn comes.
    fn pass(&mut self, by: u64) {
        let end = self.now + by;
        while let Some(at) = self.lane.next_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.serve();
        }
        self.now = end;
    }

    fn run(&mut self, step: Step) {
        self.serve();
        match step {
            Step::Arrive(id) => {
                if self.lane.try_take(self.rates, identity(id), self.now) {
                    self.admitted.push((self.now, id));
                } else {
                    let ticket = self.lane.enqueue(self.rates, identity(id), id, self.now);
                    self.waiting.push((id, ticket));
                }
            }
            Step::Leave if !self.waiting.is_empty() => {
                let (id, ticket) = self.waiting.remove(0);
                self.lane.leave(identity(id), ticket, self.now);
            }
            Step::GiveBack => {
                if let Some((taken_at, id)) = self.admitted.pop() {
                    self.lane.give_back(self.rates, identity(id), taken_at, self.now);
                }
            }
            Step::Leave => {}
        }
    }

    /// Over any window at most what a full bucket holds and what comes in meanwhile.
    fn assert_within(&self, rate: Rate, whose: impl Fn(u8) -> bool) {
        let times: Vec<u64> = self.admitted.iter().filter(|(_, id)| whose(*id)).map(|(at, _)| *at).collect();
        for (first, from) in times.iter().enumerate() {
            for (last, to) in times.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                let bound = rate.capacity + (to - from) / rate.interval;
                assert!(count <= bound, "{count} from {from} to {to}, at most {bound}");
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        8 => (0..4_u8).prop_map(Step::Arrive),
        1 => Just(Step::Leave),
        1 => Just(Step::GiveBack),
    ];
    let gap = prop_oneof![3 => 0..SECOND / 5, 1 => 0..5 * SECOND];
    proptest::collection::vec((gap, step), 1..150)
}

fn rates() -> impl Strategy<Value = Rates> {
    let rate = || (SECOND / 20..SECOND, 1..8_u64).prop_map(|(interval, capacity)| rate(interval, capacity));
    (proptest::option::of(rate()), proptest::option::of(rate()))
        .prop_map(|(registry, identity)| Rates { registry, identity })
}

proptest! {
    #[test]
    fn never_more_than_the_limit_and_never_less(rates in rates(), steps in steps()) {
        let mut world = World::new(rates);
        for (gap, step) in steps {
            world.pass(gap);
            world.run(step);
        }
        if let Some(rate) = rates.registry {
            world.assert_within(rate, |_| true);
        }
        if let Some(rate) = rates.identity {
            (0..4).for_each(|id| world.assert_within(rate, |whose| whose == id));
        }
        // Whoever waits comes to his turn in the end, and then nothing is left of anybody.
        world.pass(1_000 * SECOND);
        prop_assert!(world.waiting.is_empty());
        prop_assert_eq!(world.lane.next_at(), None);
        world.lane.sweep(world.now);
        prop_assert!(world.lane.is_idle(world.now));
    }

    #[test]
    fn a_time_to_come_again_is_kept(rates in rates(), steps in steps(), id in 0..4_u8) {
        let mut world = World::new(rates);
        for (gap, step) in steps {
            world.pass(gap);
            world.run(step);
        }
        world.serve();
        let at = world.lane.retry_at(rates, identity(id), world.now);
        if world.waiting.is_empty() && at > world.now {
            // Not a nanosecond too long, when nobody is before him.
            world.now = at - 1;
            prop_assert!(!world.lane.try_take(rates, identity(id), world.now));
        }
        let before = world.waiting.len() as u64;
        world.pass(at - world.now);
        world.serve();
        let soonest = world.lane.soonest(rates, identity(id), world.now);
        if before == 0 || rates.registry.is_none() || rates.identity.is_none() {
            prop_assert!(world.lane.try_take(rates, identity(id), world.now));
        } else {
            // Waiters who want tokens of their own may take the registry's at the last moment.
            let interval = rates.registry.map_or(0, |rate| rate.interval);
            prop_assert!(soonest - world.now <= before * interval, "{} for {before}", soonest - world.now);
        }
    }
}

#[test]
fn identities_take_turns_and_each_is_served_in_order() {
    let mut lane: Lane<(u8, u32)> = Lane::default();
    let rates = Rates { registry: Some(rate(SECOND, 1)), identity: None };
    assert!(lane.try_take(rates, identity(0), 0));
    // The first asks for everything before the others come.
    for (id, count) in [(0, 30), (1, 10), (2, 3)] {
        for number in 0..count {
            lane.enqueue(rates, identity(id), (id, number), 0);
        }
    }
    let mut order = Vec::new();
    for second in 1..=43 {
        lane.serve(rates, second * SECOND, |waiter| order.push(waiter));
        assert_eq!(order.len() as u64, second);
    }
    let ids: Vec<u8> = order.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids[..9], [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    assert_eq!(ids[9..23], [0, 1].repeat(7));
    assert!(ids[23..].iter().all(|id| *id == 0));
    for id in 0..3 {
        let numbers: Vec<u32> = order.iter().filter(|(whose, _)| *whose == id).map(|(_, number)| *number).collect();
        assert!(numbers.is_sorted(), "{id}: {numbers:?}");
    }
}

#[test]
fn one_without_tokens_of_its_own_does_not_hold_up_the_others() {
    let mut lane: Lane<u8> = Lane::default();
    let rates = Rates { registry: Some(rate(SECOND / 10, 100)), identity: Some(rate(SECOND, 1)) };
    assert!(lane.try_take(rates, identity(0), 0));
    assert!(!lane.try_take(rates, identity(0), 0));
    lane.enqueue(rates, identity(0), 0, 0);
    lane.serve(rates, 0, |_| panic!("it has no token"));
    assert!(lane.try_take(rates, identity(1), 0));
    assert_eq!(lane.next_at(), Some(SECOND));
}
