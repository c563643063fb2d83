//! Far memory that is needed soon, asked for before it is.

/// Asks for the cache line in which a value begins, and goes on without waiting for it.
///
/// Waiting for one piece after the other takes longer than all that is done with them; asked for
/// together, they come together. A hint: nothing changes but the time that reading the value takes, and where the processor has
/// no such instruction that does not either.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    #[allow(
        unsafe_code,
        reason = "sound: a prefetch reads nothing and faults at no address, and this one is a reference's"
    )]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
