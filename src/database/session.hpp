// How the extension's own statements run, whatever the caller's session is set to.
#pragma once

#include "backend/as_owner.hpp"
#include "backend/local_settings.hpp"
#include "backend/spi.hpp"

namespace gallery {

/// While it lives: no statement waits for a lock longer than gallery.revert_lock_timeout; rows that a policy would hide
/// are an error, not left behind; names are quoted only where needed, as in the manifest's definitions; and numbers
/// have all of their digits.
class Bounded {
public:
  Bounded();

private:
  backend::LocalSettings settings_;
};

/// The owner of this database's Immich, or InvalidOid where there is none or more than one. Reads the catalog only.
/// Throws 42501 for a caller who has not all of the owner's rights: code of the owner would run with other rights than
/// his.
Oid immich_owner(const backend::Spi &spi);

/// Bounded, and with the rights of Immich's owner, no more and no less: for all that touches Immich's tables.
class Careful {
public:
  explicit Careful(const backend::Spi &spi);
  /// While the result lives, the caller's own rights are there again.
  [[nodiscard]] backend::AsCaller as_caller() const { return backend::AsCaller(owner_); }

private:
  Bounded bounded_;
  backend::AsOwner owner_;
};

} // namespace gallery
