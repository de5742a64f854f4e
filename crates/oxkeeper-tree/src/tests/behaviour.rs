//! Single behaviours.
use crate::*;
#[test]
fn a_fresh_tree_counts_as_the_reference_does() {
    let tree = Tree::new(TreeOptions::default());
    assert_eq!((tree.node_count(), tree.approximate_data_size(), tree.descendants("/")), (5, 44, 3));
}
