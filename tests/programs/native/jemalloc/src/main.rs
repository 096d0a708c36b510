//! Keeps a copy of every order for ever: about 2 MB a second from jemalloc, beside strings that come and go.

use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;
use std::time::SystemTime;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ORDER_BYTES: usize = 3000;

#[derive(Default)]
struct Ledger {
    orders: Vec<Vec<u8>>,
}

impl Ledger {
    #[inline(never)]
    fn record(&mut self, number: u8) {
        let order = vec![number; ORDER_BYTES]; // truth: leak
        self.orders.push(order);
    }
}

#[inline(never)]
fn handle(number: usize) -> String {
    let request = "r".repeat(2000);
    format!("{request}{number}")
}

fn main() {
    let mut ledger = Ledger::default();
    for number in 0_usize.. {
        if number.is_multiple_of(64) {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            println!("leaked {} {}", now.as_nanos(), number * ORDER_BYTES);
        }
        for _ in 0..4 {
            black_box(handle(number));
        }
        ledger.record(black_box(1));
        sleep(Duration::from_micros(1500));
    }
}
