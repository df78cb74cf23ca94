# Everything that people and machines run. `make help` explains it.
# Needed: Go, git, make and a C compiler (for the race detector). The rest comes by itself.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A checkout of another user must build too, where git refuses to answer.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION := $(shell git rev-parse --verify -q HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)

TOOL := go tool -modfile=tools/go.mod
TEST_TIMEOUT ?= 9m
FRESH := .run/fresh

##@ See it work
.PHONY: demo
demo: postgres prometheus build ## Show one Kafka from request to gone, messages included, in a world of its own
	@bin/sandbox demo

.PHONY: run
run: postgres prometheus build ## Keep the same world up until Ctrl-C; REPLICAS=3, PORT_OFFSET=200, AGENTS=none, QUOTA_TYPE=ams, SSO_PROVIDER=redhat_sso
	@exec bin/sandbox run

##@ Check it
.PHONY: test
test: postgres prometheus browser ## Run every test with the race detector
	scripts/with-postgres go test -race -timeout $(TEST_TIMEOUT) ./...

.PHONY: bench
bench: postgres build ## Measure speed and cost beside a floor server; BENCH_SIZES=1k,10k BENCH_SECONDS=3
	@go build -o bin/bench ./test/bench
	@exec bin/bench

.PHONY: mutants
mutants: postgres ## Prove that tests can fail: known faults, one by one, must turn them red; MUTANTS_ONLY=lease
	@go build -o bin/mutants ./test/mutants
	@scripts/with-postgres bin/mutants

CAMPAIGN_ONLY ?= crash,pause,database,race,agents,upstream
CAMPAIGN_TIMEOUT ?= 10h

.PHONY: campaign
campaign: postgres ## Break it at length and look what holds; CAMPAIGN_SEED=1 CAMPAIGN_N=100 CAMPAIGN_ONLY=crash,pause,database,race,agents,upstream
	@CAMPAIGN=1 CAMPAIGN_TIMEOUT=$(CAMPAIGN_TIMEOUT) scripts/campaign "$(CAMPAIGN_ONLY)"

.PHONY: verify
verify: ## Check that the source is as it should be: fresh, formatted, linted, tidy, lawful
	@echo "==> go.mod is tidy"
	go mod tidy -diff
	@echo "==> generated code is fresh"
	@rm -rf $(FRESH) && mkdir -p $(FRESH)
	@$(MAKE) generate-code PUBLIC=$(FRESH)/public.gen.go AGENT=$(FRESH)/agent.gen.go ADMIN=$(FRESH)/admin.gen.go
	diff -q $(FRESH)/public.gen.go pkg/api/public/public.gen.go
	diff -q $(FRESH)/agent.gen.go pkg/api/agent/agent.gen.go
	diff -q $(FRESH)/admin.gen.go pkg/api/admin/admin.gen.go
	@echo "==> code is formatted"
	@unformatted=$$(gofmt -l cmd internal openapi pkg test); if [[ -n "$$unformatted" ]]; then echo "gofmt -w $$unformatted"; exit 1; fi
	@echo "==> import law holds, generated pages are fresh"
	go test ./test/arch/...
	@echo "==> vet and lint"
	go vet ./...
	@$(MAKE) lint
	@echo "==> known vulnerabilities"
	@scripts/check-vulnerabilities
	@echo "==> verified"

.PHONY: lint
lint: ## Run the linters, of the code and of the specifications
	$(TOOL) golangci-lint run ./...
	@scripts/lint-openapi

##@ Build it
.PHONY: build
build: ## Build the fleet manager (static) and the sandbox into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/kas-fleet-manager ./cmd/kas-fleet-manager
	CGO_ENABLED=0 go build -trimpath -o bin/sandbox ./cmd/sandbox

.PHONY: generate
generate: generate-code ## Write anew what is generated: wire types from openapi/, pages of docs/ from the code
	go test ./test/arch/... -update

PUBLIC ?= pkg/api/public/public.gen.go
AGENT ?= pkg/api/agent/agent.gen.go
ADMIN ?= pkg/api/admin/admin.gen.go

.PHONY: generate-code
generate-code:
	$(TOOL) oapi-codegen -config openapi/public.cfg.yaml -o $(PUBLIC) openapi/kas-fleet-manager.yaml
	$(TOOL) oapi-codegen -config openapi/agent.cfg.yaml -o $(AGENT) openapi/kas-fleet-manager-private.yaml
	$(TOOL) oapi-codegen -config openapi/admin.cfg.yaml -o $(ADMIN) openapi/kas-fleet-manager-private-admin.yaml

.PHONY: postgres
postgres: ## Install PostgreSQL's programs if they are missing (Debian: with apt-get)
	@scripts/install-postgres

.PHONY: prometheus
prometheus: ## Unpack a Prometheus for the sandbox and the tests if there is none (Debian's package; nothing is installed)
	@scripts/install-prometheus

.PHONY: browser
browser: ## Install Chromium for the tests of the pages if it is missing (Debian: with apt-get)
	@scripts/install-browser

.PHONY: clean
clean: ## Remove what was built, and stop and remove the sandbox's databases
	@go build -o bin/pgserver ./test/postgres/cmd/pgserver
	@for state in $$(find .run -name server.json 2>/dev/null); do bin/pgserver remove --dir "$$(dirname "$$state")" || true; done
	rm -rf bin .run tools/openapi-lint/node_modules

.PHONY: help
help: ## Explain the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
