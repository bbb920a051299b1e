# Everything that this repository can do, each with its own set-up.
.DEFAULT_GOAL := help

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
# Tests use the race detector and so cgo; names are resolved as in the product.
TESTTAGS := netgo,osusergo
TOOL     := $(GO) tool -modfile=.ci/tools/go.mod
DEMO     ?= demo-data
ADDR     ?= 127.0.0.1:7700
RECEIVER ?= 127.0.0.1:7701
FUZZTIME ?= 20s

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Settings: ADDR=$(ADDR) RECEIVER=$(RECEIVER) DEMO=$(DEMO) FUZZTIME=$(FUZZTIME)"

.PHONY: build
build: ## Build the release binary, without cgo: bin/tappet
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/tappet ./cmd/tappet

.PHONY: run
run: build ## Build and start Tappet with a demo graph that really runs
	./bin/tappet serve --demo --data $(DEMO) --addr $(ADDR) --demo-receiver $(RECEIVER)

.PHONY: deps
deps: ## Install what the tests need (gcc for the race detector), if it may
	@bash .ci/deps

.PHONY: test
test: deps ## Install what the tests need, and run them with the race detector
	@bash .ci/test

.PHONY: race
race: test ## The same as test

.PHONY: check
check: ## Format, lint, tidy and generated files; leaves the tree clean or fails
	@bash .ci/check

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) gofumpt -l -w .

.PHONY: generate
generate: ## Write generated files anew (OpenAPI, golden files stay)
	$(GO) generate ./...

.PHONY: bench
bench: build ## W1 beside bare Go, triggers on each pipe, idle plugins, micro-benchmarks
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/bare ./internal/bench/bare
	$(GO) run ./internal/bench/w1 -tappet bin/tappet -bare bin/bare
	$(GO) run ./internal/bench/blackhole -tappet bin/tappet
	CGO_ENABLED=0 $(GO) build -trimpath -tags tappet_bench -o bin/bench/tappet ./cmd/tappet
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/bench/emitter ./internal/bench/emitter/plugin
	GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -ldflags '-s -w' -o bin/bench/emitter.wasm ./internal/bench/emitter/plugin
	$(GO) run ./internal/bench/triggers -rounds 2 -tappet bin/bench/tappet -wasm bin/bench/emitter.wasm -native bin/bench/emitter
	$(GO) run ./internal/bench/idle -plugins 5 -every 1s -watch 3s -tappet bin/tappet -wasm bin/bench/emitter.wasm -native bin/bench/emitter
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 200ms ./engine/... ./sdk/... ./connectors/... ./plugins/... ./api/... ./internal/egress/...

.PHONY: bench-files
bench-files: build ## A file of 2 GiB through webhook and form-data, with the peak of memory
	$(GO) run ./internal/bench/files -tappet bin/tappet

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME
	@bash .ci/fuzz $(FUZZTIME)

.PHONY: plugins
plugins: ## Build the example plugins in Go, modules and programs: bin/plugins/
	mkdir -p bin/plugins
	set -e; for p in feed gitea signed sse; do \
		GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -ldflags '-s -w' -o bin/plugins/$$p.wasm ./examples/plugins/$$p; done
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/plugins/ $(addprefix ./examples/plugins/,feed folder gitea signed sse)

.PHONY: clean
clean: ## Remove what was built, and the demo's data
	rm -rf bin $(DEMO)
