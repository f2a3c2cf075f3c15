//! `rebuild-projection`: empties the relational tables behind the log and fills them
//! from it again. Servers may run meanwhile.

use super::Failure;
use super::stores;
use crate::config::StoreConfig;
use crate::service::project_all;
use engine::domain::NamespaceName;

/// Options of `rebuild-projection`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    stores: StoreConfig,

    /// The namespace whose tables are rebuilt
    #[arg(long, default_value = NamespaceName::DEFAULT)]
    namespace: String,
}

/// Clears and projects one namespace.
///
/// # Errors
/// When the store cannot be reached or the log cannot be read.
pub fn run(args: &Args) -> Result<(), Failure> {
    stores::required_postgres(&args.stores)?;
    let name = NamespaceName::parse(args.namespace.clone())?;
    let stores = stores::open(&args.stores)?.stores;
    let partition = stores.namespaces.resolve(&name)?.partition;
    if let Some(projection) = &stores.projection {
        projection.clear(&partition)?;
    }
    let position = project_all(&stores, &partition, || false)?;
    println!("{name}: {position} records projected");
    Ok(())
}
