#!/usr/bin/env bash
# SPDX-License-Identifier: PostgreSQL
#
# make install, as a packager does it, and what comes with it: a program that knows the installed
# files alone, the example configuration, man pages, unit and alert rules. Prints a line per test
# like the other test programs.
set -u

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
stage=$root/stage prefix=/opt/hf failed=0
installed=$stage$prefix

# check TITLE COMMAND...: one test; what the command says is shown if it fails.
check() {
  local title=$1
  shift
  if "$@" >"$root/out" 2>&1; then
    echo "ok      install: $title"
  else
    echo "FAILED  install: $title"
    sed 's/^/            /' "$root/out"
    failed=1
  fi
}

install_all() { env -u MAKEFLAGS make --no-print-directory install DESTDIR="$stage" PREFIX="$prefix"; }

has_all_files() {
  local file
  for file in bin/hostflags-host lib/hostflags/hostflags.so lib/pkgconfig/hostflags.pc \
    include/hostflags/host_api.h share/hostflags/loader.c share/hostflags/loader.h \
    share/man/man7/hostflags.7 share/man/man1/hostflags-host.1 share/doc/hostflags/README.md \
    share/doc/hostflags/examples/hostflags-host.ini \
    share/doc/hostflags/examples/hostflags-host.service share/doc/hostflags/examples/hostflags.rules.yml; do
    [ -s "$installed/$file" ] || { echo "not there: $file"; return 1; }
  done
  [ -x "$installed/bin/hostflags-host" ]
}

pc() { PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config "$@"; }

pkg_config_is_right() {
  [ "$(pc --modversion hostflags)" = "$(sed -n 's/^  "version": "\(.*\)",$/\1/p' META.json)" ] &&
    [ "$(pc --variable=plugin hostflags)" = "$prefix/lib/hostflags/hostflags.so" ] &&
    [ "$(pc --variable=loaderdir hostflags)" = "$prefix/share/hostflags" ]
}

# A host program that is built with nothing but what was installed.
host_program_works() {
  local flags said
  flags=$(PKG_CONFIG_SYSROOT_DIR=$stage PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config --cflags hostflags) || return 1
  cp "$installed"/share/hostflags/loader.[ch] "$root" || return 1
  cat >"$root/host.c" <<'C'
#include <host_api.h>
#include <stdio.h>
#include "loader.h"

int main(int argc, char **argv)
{
    struct hf_loader flags = {0};
    char error[512] = "";

    if (argc != 2 || hf_loader_load(&flags, argv[1], NULL, NULL, 0, error, sizeof(error)) != HF_OK)
        return fprintf(stderr, "%s\n", error), 1;
    printf("%s is loaded\n", flags.plugin->name);
    hf_loader_unload(&flags);
    return 0;
}
C
  # shellcheck disable=SC2086
  (cd "$root" && gcc -std=gnu99 -Wall -Wextra -Werror $flags -o host host.c loader.c -ldl) || return 1
  said=$("$root/host" "$installed/lib/hostflags/hostflags.so") && echo "$said" && [ "$said" = "hostflags is loaded" ]
}

program_works() {
  local config=$root/example.ini
  [ "$("$installed/bin/hostflags-host" --version)" = "hostflags-host $(pc --modversion hostflags)" ] || return 1
  sed "s|^library = .*|library = $installed/lib/hostflags/hostflags.so|" \
    "$installed/share/doc/hostflags/examples/hostflags-host.ini" >"$config"
  "$installed/bin/hostflags-host" --check-config "$config"
}

# The unit names the installed program; here that is somewhere else.
unit_is_valid() {
  sed "s|/usr/local/bin|$installed/bin|" "$installed/share/doc/hostflags/examples/hostflags-host.service" \
    >"$root/hostflags-host.service"
  systemd-analyze verify --man=no "$root/hostflags-host.service" 2>&1 | tee "$root/said"
  ! grep -q hostflags-host.service "$root/said"
}

# Each key of the file is in the manual, and each metric that the plugin has.
manual_is_complete() {
  local word
  for word in $(sed -n 's/^.*{PROXY(\([a-z_]*\)).*$/\1/p; s/^.*{UPSTREAM(\([a-z_]*\)).*$/\1/p; s/^.*{HF_SECTION_PROXY, "\([a-z_]*\)".*$/\1/p' \
    hosts/proxy/config_keys.c) library; do
    grep -q "^\.It Cm $word$" "$installed/share/man/man1/hostflags-host.1" || { echo "no key $word"; return 1; }
  done
  for word in $(sed -n 's/^    {"\(host_[a-z_]*\|flag_enabled\)".*/\1/p; s/^    begin(out, "\([a-z_]*\)".*/\1/p; s/^    single(out, "\([a-z_]*\)".*/\1/p; s/^    put_by_reason(out, "\([a-z_]*\)".*/\1/p' \
    plugin/prometheus.c); do
    grep -q "hostflags_$word\b" "$installed/share/man/man7/hostflags.7" || { echo "no metric $word"; return 1; }
  done
}

rules_work() {
  cp "$installed/share/doc/hostflags/examples/hostflags.rules.yml" tests/data/hostflags.rules.test.yml "$root"
  (cd "$root" && promtool check rules hostflags.rules.yml && promtool test rules hostflags.rules.test.yml)
}

# Each alert stands in the test of the rules.
rules_are_tested() {
  local name
  for name in $(sed -n 's/^ *- alert: //p' hosts/proxy/hostflags.rules.yml); do
    grep -q "alertname=\"$name\"" tests/data/hostflags.rules.test.yml || { echo "no test of $name"; return 1; }
  done
}

nothing_is_left() {
  touch "$installed/share/doc/somebody-elses"
  env -u MAKEFLAGS make --no-print-directory uninstall DESTDIR="$stage" PREFIX="$prefix" || return 1
  find "$stage" ! -type d
  [ "$(find "$stage" ! -type d)" = "$installed/share/doc/somebody-elses" ] &&
    [ -z "$(find "$stage" -name 'hostflags*')" ]
}

check "into a staging directory, under a prefix" install_all
check "all files are there" has_all_files
check "pkg-config knows version, module and loader" pkg_config_is_right
check "C89 a host program is built and loads the plugin with installed files alone" host_program_works
check "C85 the program runs, and takes the example configuration" program_works
if command -v systemd-analyze >/dev/null; then
  check "the systemd unit is valid" unit_is_valid
else
  echo "skipped install: the systemd unit is valid: there is no systemd-analyze here"
fi
check "the manual names every key of the file and every metric" manual_is_complete
check "promtool: the alert rules are valid, and each fires for what it is about" rules_work
check "each alert rule is tested" rules_are_tested
check "uninstall takes away the same, and nothing else" nothing_is_left
[ "$failed" -eq 0 ]
