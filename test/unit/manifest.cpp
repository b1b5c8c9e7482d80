// The tables of facts: look-ups, derived names, and what the releases promise.
#include "manifest/manifest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

using manifest::Kind;

TEST(Manifest, holds_what_shipped) {
  EXPECT_EQ(manifest::immich_migrations().size(), 100u);
  EXPECT_EQ(manifest::immich_releases().size(), 77u);
  EXPECT_EQ(manifest::gallery_config_paths().size(), 11u);
  EXPECT_EQ(manifest::gallery_preference_paths().size(), 2u);
  EXPECT_EQ(manifest::gallery_permissions().size(), 22u);
  EXPECT_EQ(manifest::gallery_checkpoint_types().size(), 47u);
}

TEST(Manifest, finds_names) {
  EXPECT_EQ(manifest::find_immich_migration("1744910873969-InitialMigration"), 0);
  EXPECT_EQ(manifest::find_immich_migration("1774548649115-AddChecksumAlgorithm.ts"), 66);
  EXPECT_EQ(manifest::find_immich_migration("1774548649115-AddChecksumAlgorithm"), -1);
  EXPECT_EQ(manifest::find_gallery_migration("1772810000000-AddThumbnailCropYToSharedSpace")->canonical(),
            "1772815000000-AddThumbnailCropYToSharedSpace");
  EXPECT_EQ(manifest::find_gallery_migration("1744910873969-InitialMigration"), nullptr);
  EXPECT_EQ(manifest::find_renamed_migration("1776735180298-ChangeDurationToInteger")->released_as,
            "1777667825574-ChangeDurationToInteger");
}

TEST(Manifest, derives_override_names) {
  EXPECT_EQ(manifest::override_name(Kind::Function, "user_has_album_path(uuid, uuid, uuid)"),
            "function_user_has_album_path");
  EXPECT_EQ(manifest::override_name(Kind::Index, "pet_index"), "index_pet_index");
  EXPECT_EQ(manifest::override_name(Kind::Trigger, "shared_space_updatedAt"), "trigger_shared_space_updatedAt");
  EXPECT_EQ(manifest::override_name(Kind::Table, "shared_space"), "");
}

// They become JSON paths as they are, with nothing quoted.
TEST(Manifest, json_paths_are_plain_words) {
  for (auto paths : {manifest::gallery_config_paths(), manifest::gallery_preference_paths()})
    for (auto path : paths)
      for (auto key : path) {
        EXPECT_FALSE(key.empty());
        EXPECT_TRUE(std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isalnum(c); })) << key;
        EXPECT_NE(key, "NULL");
      }
}
