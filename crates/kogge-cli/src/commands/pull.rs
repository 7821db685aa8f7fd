//! `pull`: an image from a registry to a layout.

use super::copy::copy;
use crate::args::PullArgs;
use crate::context::Context;
use crate::error::Result;
use crate::location::{LayoutLocation, Location};

pub(crate) async fn run(args: PullArgs, ctx: &Context) -> Result<()> {
    let to = Location::Layout(LayoutLocation::from_path(&args.dest)?);
    copy("Pulled", Location::Registry(args.image), to, Vec::new(), args.choice, ctx).await
}
