//! The filters that a session subscribes to: a sorted list, because most sessions have one or a few and a hash table for
//! one takes five times its memory.

/// A set of filters.
#[derive(Default)]
pub(in crate::broker) struct Filters(Vec<Box<str>>);

impl Filters {
    pub(in crate::broker) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in their order.
    pub(in crate::broker) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|filter| &**filter)
    }

    fn find(&self, filter: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|known| (**known).cmp(filter))
    }

    pub(in crate::broker) fn contains(&self, filter: &str) -> bool {
        self.find(filter).is_ok()
    }

    /// Adds a filter, unless it is there.
    pub(in crate::broker) fn insert(&mut self, filter: &str) {
        if let Err(at) = self.find(filter) {
            // The first one takes what it needs; a list grows by itself from the second on.
            self.0.reserve_exact(usize::from(self.0.is_empty()));
            self.0.insert(at, filter.into());
        }
    }

    /// Removes a filter. Returns whether it was there.
    pub(in crate::broker) fn remove(&mut self, filter: &str) -> bool {
        self.find(filter).map(|at| self.0.remove(at)).is_ok()
    }

    /// Removes those that `keep` does not name.
    pub(in crate::broker) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|filter| keep(filter));
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in proptest::collection::vec((any::<bool>(), "[ab/+]{1,3}"), 0..60)) {
            let (mut filters, mut model) = (Filters::default(), std::collections::BTreeSet::new());
            for (add, filter) in steps {
                if add {
                    filters.insert(&filter);
                    model.insert(filter.clone());
                } else {
                    prop_assert_eq!(filters.remove(&filter), model.remove(&filter));
                }
                prop_assert_eq!(filters.contains(&filter), model.contains(&filter));
                prop_assert_eq!(filters.len(), model.len());
            }
            filters.retain(|filter| filter.starts_with('a'));
            model.retain(|filter| filter.starts_with('a'));
            let taken: Vec<String> = filters.take().into_iter().map(String::from).collect();
            prop_assert_eq!(taken, model.into_iter().collect::<Vec<_>>());
        }
    }
}
