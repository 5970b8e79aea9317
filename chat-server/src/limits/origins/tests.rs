use super::*;
use std::collections::VecDeque;

const SECOND: Duration = Duration::from_secs(1);

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

fn origin(address: &str) -> Origin {
    let address = address.parse().expect("an address");
    Origin::of(Some(address)).expect("another machine")
}

/// The nth of many IPv6 sites with one network each.
fn site(n: usize) -> Origin {
    origin(&format!("2001:{:x}:{:x}::1", n >> 16, n & 0xffff))
}

/// A table, its sessions in the order in which they began, and its clock.
struct Table {
    origins: Origins,
    sessions: VecDeque<Id>,
    now: Instant,
}

impl Table {
    fn new(peers: usize, connects: Quota) -> Self {
        Self {
            origins: Origins::new(OriginLimits {
                peers,
                connects: Some(connects),
                talk: Some(Rate::default()),
                renames: None,
            }),
            sessions: VecDeque::new(),
            now: Instant::now(),
        }
    }

    fn connect(&mut self, origin: Origin) -> Result<Arc<SharedLimits>, Refusal> {
        let shared = self.origins.connect(origin, self.now)?;
        let id = tokio::spawn(async {}).id();
        self.origins.began(id, origin);
        self.sessions.push_back(id);
        Ok(shared)
    }

    fn disconnect(&mut self) {
        let id = self.sessions.pop_front().expect("a session");
        self.origins.ended(id, self.now);
    }

    /// A peer that connects and disconnects.
    fn visit(&mut self, origin: Origin) -> Result<(), Refusal> {
        assert_eq!(self.sessions.len(), 0);
        self.connect(origin)?;
        self.disconnect();
        Ok(())
    }

    fn remembers(&self, origin: Origin) -> bool {
        self.origins.entries.contains_key(&origin)
    }
}

fn three() -> Quota {
    Quota::new(number(3), SECOND)
}

mod connecting {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn has_burst_then_rate() {
        let mut table = Table::new(100, three());
        let here = origin("192.0.2.1");
        for _ in 0..3 {
            assert_eq!(table.visit(here), Ok(()));
        }
        // Refusals use up nothing, however many there are.
        for _ in 0..100 {
            assert_eq!(table.visit(here), Err(Refusal::TooFast(SECOND)));
        }
        table.now += SECOND / 2;
        assert_eq!(table.visit(here), Err(Refusal::TooFast(SECOND / 2)));
        table.now += SECOND / 2;
        assert_eq!(table.visit(here), Ok(()));
        assert_eq!(table.visit(here), Err(Refusal::TooFast(SECOND)));
        assert_eq!(table.visit(origin("192.0.2.2")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn site_has_four_times_that() {
        let mut table = Table::new(100, three());
        let network = |n: usize| origin(&format!("2001:db8:1:{n:x}::1"));
        for n in 0..12 {
            assert_eq!(table.visit(network(n)), Ok(()), "{n}");
        }
        let wait = SECOND / 4;
        assert_eq!(table.visit(network(12)), Err(Refusal::TooFast(wait)));
        assert_eq!(table.visit(site(7)), Ok(()));
        table.now += wait;
        for _ in 0..2 {
            assert_eq!(table.visit(network(12)), Ok(()));
            assert_eq!(table.visit(network(12)), Err(Refusal::TooFast(wait)));
            table.now += wait;
        }
        // The site's refusals have cost the network nothing.
        assert_eq!(table.visit(network(12)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn peers_are_limited_together() {
        let mut table = Table::new(2, Quota::new(number(100), SECOND));
        let here = origin("192.0.2.1");
        for _ in 0..2 {
            assert!(table.connect(here).is_ok());
        }
        assert!(matches!(table.connect(here), Err(Refusal::TooManyPeers)));
        assert!(table.connect(origin("192.0.2.2")).is_ok());
        table.disconnect();
        assert!(table.connect(here).is_ok());
        // A site has four times as many.
        for n in 0..8 {
            let network = origin(&format!("2001:db8:1:{n:x}::1"));
            assert!(table.connect(network).is_ok(), "{n}");
        }
        let ninth = table.connect(origin("2001:db8:1:8::1"));
        assert!(matches!(ninth, Err(Refusal::TooManyPeers)));
    }

    #[tokio::test(start_paused = true)]
    async fn peers_share_limits_while_remembered() {
        let mut table = Table::new(9, three());
        let here = origin("192.0.2.1");
        let first = table.connect(here).expect("a place");
        let second = table.connect(here).expect("a place");
        assert!(Arc::ptr_eq(&first, &second));
        table.disconnect();
        table.disconnect();
        table.now += SECOND;
        let third = table.connect(here).expect("a place");
        assert!(Arc::ptr_eq(&first, &third));
        let other = table.connect(origin("192.0.2.2")).expect("a place");
        assert!(!Arc::ptr_eq(&first, &other));
    }
}

mod memory {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn origin_with_unused_limits_is_forgotten() {
        let mut table = Table::new(9, three());
        let (here, there) = (origin("192.0.2.1"), origin("2001:db8::1"));
        for origin in [here, there] {
            assert!(table.connect(origin).is_ok());
        }
        table.now += 100 * SECOND;
        table.origins.forget(table.now);
        assert!(table.remembers(here), "it has a peer");
        table.disconnect();
        table.disconnect();
        assert_eq!(table.origins.entries.len(), 0);
        assert!(table.origins.are_settled());
    }

    #[tokio::test(start_paused = true)]
    async fn origin_with_used_limits_is_kept() {
        let mut table = Table::new(9, three());
        let here = origin("2001:db8::1");
        assert_eq!(table.visit(here), Ok(()));
        assert_eq!(table.visit(here), Ok(()));
        assert!(table.remembers(here));
        assert!(!table.origins.are_settled());
        table.now += SECOND * 3 / 2;
        table.origins.forget(table.now);
        assert!(table.remembers(here), "its limits are not full yet");
        table.now += SECOND / 2;
        table.origins.forget(table.now);
        assert_eq!(table.origins.entries.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_origin_is_not_kept() {
        // The site's limit is used up by others.
        let mut table = Table::new(9, Quota::new(number(1), SECOND));
        let network = |n: usize| origin(&format!("2001:db8:1:{n:x}::1"));
        for n in 0..4 {
            assert_eq!(table.visit(network(n)), Ok(()));
        }
        for n in 4..100 {
            assert!(table.visit(network(n)).is_err());
        }
        assert_eq!(table.origins.entries.len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn table_is_bounded() {
        let mut table = Table::new(9, three());
        for n in 0..REMEMBERED + 500 {
            assert_eq!(table.visit(site(n)), Ok(()));
        }
        // Each network has its site beside it.
        assert_eq!(table.origins.idle.len(), REMEMBERED);
        assert_eq!(table.origins.entries.len(), 2 * REMEMBERED);
        // Of origins with peers none is forgotten.
        for n in 0..100 {
            assert!(table.connect(site(n)).is_ok());
        }
        for n in 100..REMEMBERED + 500 {
            assert!(table.origins.connect(site(n), table.now).is_ok());
        }
        assert!((0..100).all(|n| table.remembers(site(n))));
    }

    #[tokio::test(start_paused = true)]
    async fn soonest_unused_is_forgotten_first() {
        let mut table = Table::new(9, three());
        let used_up = origin("192.0.2.1");
        for _ in 0..3 {
            assert_eq!(table.visit(used_up), Ok(()));
        }
        for n in 0..REMEMBERED + 500 {
            assert_eq!(table.visit(site(n)), Ok(()));
        }
        assert!(table.visit(used_up).is_err(), "its use is remembered");
    }
}
