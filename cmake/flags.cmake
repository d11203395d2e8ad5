# Flags of every target of ours; asserts stay in release builds. -Werror comes from CMAKE_COMPILE_WARNING_AS_ERROR, which the presets set.
add_library(pg_flags INTERFACE)
target_compile_features(pg_flags INTERFACE c_std_11)
target_compile_definitions(pg_flags INTERFACE _GNU_SOURCE PG_VERSION="${PG_VERSION}")
target_include_directories(pg_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
# Paths in messages and asserts begin at the top of the tree: the same source makes the same program wherever it is built.
target_compile_options(pg_flags INTERFACE -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
target_compile_options(pg_flags INTERFACE -fPIE -UNDEBUG -Wall -Wextra -Wshadow -Wconversion -Wvla -Wundef
  -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wwrite-strings -Wcast-align)
# clang takes assert(!"why") for a mistake.
target_compile_options(pg_flags INTERFACE $<$<C_COMPILER_ID:Clang>:-Wno-string-conversion>)
