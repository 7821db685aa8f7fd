//! `push`: an image from a layout to a registry.

use super::copy::copy;
use crate::args::PushArgs;
use crate::context::Context;
use crate::error::Result;
use crate::location::{LayoutLocation, Location};

pub(crate) async fn run(args: PushArgs, ctx: &Context) -> Result<()> {
    let from = Location::Layout(LayoutLocation::from_path(&args.src)?);
    copy("Pushed", from, Location::Registry(args.image), args.tag, args.choice, ctx).await
}
