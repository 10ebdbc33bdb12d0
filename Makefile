# posthaste: `make demo` to see it work, `make test` to prove it, `make install` to use it.

PREFIX     ?= $(HOME)/.local
# A user's own prefix gets a user unit where systemd looks first; any other prefix gets it in its own tree.
UNITDIR    ?= $(if $(filter $(HOME)/.local,$(PREFIX)),$(HOME)/.config/systemd/user,$(PREFIX)/lib/systemd/user)
CARGO      ?= cargo
TARGET      = $(or $(CARGO_TARGET_DIR),target)
DESTDIR    ?=

BIN        = $(DESTDIR)$(PREFIX)/bin/posthaste
DROP       = $(DESTDIR)$(PREFIX)/bin/posthaste-drop
UNIT       = $(DESTDIR)$(UNITDIR)/posthaste.service
BASH_COMP  = $(DESTDIR)$(PREFIX)/share/bash-completion/completions/posthaste
ZSH_COMP   = $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_posthaste
FISH_COMP  = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/posthaste.fish
MAN1       = $(DESTDIR)$(PREFIX)/share/man/man1/posthaste.1
MAN5       = $(DESTDIR)$(PREFIX)/share/man/man5/posthaste-config.5

.PHONY: demo test check bench install uninstall

# A real mail host on loopback, one account, mail in and out before your eyes. KEEP=1 leaves it running until Ctrl-C.
demo:
	./tests/install-deps
	$(CARGO) build --locked --bin posthaste --example demo
	$(CARGO) run --locked --quiet --example demo

# Everything, against real Dovecot where it is not pure; then the keyring, which only a feature knows.
test:
	./tests/install-deps test
	$(CARGO) test --locked
	$(CARGO) test --locked --features secret-service --test keyring

# Format, lints, docs, and the one TLS stack.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --lib --bins --test keyring --features secret-service -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	@for crate in rustls ring aws-lc-rs; do \
		found=$$($(CARGO) tree --locked --all-features -e normal,build,dev --target all --prefix none | grep -E "^$$crate v" || true); \
		if [ -n "$$found" ]; then echo "a second TLS stack: $$found" >&2; exit 1; fi; \
		echo "no $$crate in the tree"; \
	done
	@if command -v cargo-deny >/dev/null 2>&1 && [ -e deny.toml ]; then $(CARGO) deny check; \
		else echo "cargo-deny is not installed: skipped"; fi

# A first sync beside mbsync's. BENCH_MESSAGES=2000 for a quick one.
bench:
	./tests/install-deps bench
	$(CARGO) build --release --locked --bin posthaste --example bench
	$(CARGO) run --release --locked --quiet --example bench

install:
	./tests/install-deps build
	$(CARGO) build --release --locked --bin posthaste
	install -D -m 755 $(TARGET)/release/posthaste $(BIN)
	install -m 755 contrib/posthaste-drop $(DROP)
	install -d $(dir $(UNIT))
	sed 's|^\(Exec[A-Za-z]*=\)[^ ]*|\1$(PREFIX)/bin/posthaste|' systemd/posthaste.service > $(UNIT)
	install -d $(dir $(BASH_COMP)) $(dir $(ZSH_COMP)) $(dir $(FISH_COMP))
	$(TARGET)/release/posthaste completions bash > $(BASH_COMP)
	$(TARGET)/release/posthaste completions zsh > $(ZSH_COMP)
	$(TARGET)/release/posthaste completions fish > $(FISH_COMP)
	install -D -m 644 man/posthaste.1 $(MAN1)
	install -D -m 644 man/posthaste-config.5 $(MAN5)
	@echo "installed $(BIN) and the unit $(UNIT)"
	@case ":$$(systemd-analyze --user unit-paths 2>/dev/null | tr '\n' ':'):$(HOME)/.config/systemd/user:/usr/local/lib/systemd/user:/usr/lib/systemd/user:" in \
		*":$(UNITDIR):"*) echo "next: systemctl --user daemon-reload && systemctl --user enable --now posthaste" ;; \
		*) echo "systemd does not look in $(UNITDIR); next: systemctl --user link $(UNITDIR)/posthaste.service && systemctl --user enable --now posthaste" ;; \
	esac

uninstall:
	rm -f $(BIN) $(DROP) $(UNIT) $(BASH_COMP) $(ZSH_COMP) $(FISH_COMP) $(MAN1) $(MAN5)
