//! How fast the web page is: the first useful paint with 500 targets, and what a frame of a large flame graph and of a long chart
//! costs the browser's main thread. Measured in Chromium, on data that is made up; the targets stand beside the numbers.

use xtask::ui;

pub(crate) fn main() -> anyhow::Result<()> {
    ui::bench()
}
