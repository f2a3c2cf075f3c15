//! The `personalization` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match personalization::cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            personalization::cli::report(&*failure);
            ExitCode::FAILURE
        }
    }
}
