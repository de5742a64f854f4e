//! How many connections there are, in all and from each address. Counted when they are accepted, so that a burst cannot
//! slip past the limits before its connections are set up.

use hashbrown::HashMap;
use std::net::IpAddr;

#[derive(Debug, Default)]
pub struct Admission {
    pub total: usize,
    from: HashMap<IpAddr, usize, foldhash::fast::FixedState>,
}

impl Admission {
    /// Counts a connection in, or says why not. A limit of 0 is none.
    pub fn enter(&mut self, address: IpAddr, total_max: usize, per_address_max: usize) -> Result<(), String> {
        if total_max > 0 && self.total >= total_max {
            return Err(format!("max is {total_max} in all"));
        }
        let same = self.from.entry(address).or_insert(0);
        if per_address_max > 0 && *same >= per_address_max {
            return Err(format!("max is {per_address_max}"));
        }
        *same += 1;
        self.total += 1;
        Ok(())
    }

    pub fn left(&mut self, address: IpAddr) {
        self.total -= 1;
        let same = self.from.get_mut(&address).unwrap_or_else(|| panic!("{address} leaves and never came"));
        *same -= 1;
        if *same == 0 {
            self.from.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_per_address_and_in_all() {
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut admission = Admission::default();
        assert!(admission.enter(a, 3, 2).is_ok() && admission.enter(a, 3, 2).is_ok());
        assert_eq!(admission.enter(a, 3, 2), Err("max is 2".into()));
        assert!(admission.enter(b, 3, 2).is_ok());
        assert_eq!(admission.enter(b, 3, 2), Err("max is 3 in all".into()));
        admission.left(a);
        assert!(admission.enter(b, 3, 2).is_ok());
        assert!((0..100).all(|_| admission.enter(b, 0, 0).is_ok()), "0 is no limit");
    }
}
