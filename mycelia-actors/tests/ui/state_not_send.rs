use std::rc::Rc;

use mycelia_actors::prelude::*;

struct Counter(Rc<u64>);
impl Subsystem for Counter {}

fn main() {}
