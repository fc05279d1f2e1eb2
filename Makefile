# Cloakroom. `make` lists what there is.
SHELL := bash
.DEFAULT_GOAL := help

export PORT ?= 8080
export DATA_DIR ?= .data
BIN := $(CURDIR)/.bin
export VERSION ?= dev
# What our programs are built with; in GOFLAGS, so that tests, tools and programs share what is compiled.
TAGS ?= $(shell sed -n 's/^const BuildTags = "\(.*\)"/\1/p' libs/run/tags.go)
export GOFLAGS := $(strip $(GOFLAGS) -tags=$(TAGS))
# Of images: the one that the chart asks for when it is told none.
TAG ?= $(shell sed -n 's/^appVersion: *//p' charts/cloakroom/Chart.yaml)
MODULES := libs k8s auth-svc files-svc gateway stack k8s/observe tests
# The charts have a module that is not in the workspace: it needs helm and kustomize, and nothing of ours.
LINTED := $(MODULES) charts
# The race detector needs a C compiler. Without one the tests run all the same, and say so.
RACE := $(if $(shell command -v gcc || command -v clang),-race)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: run
run: ## run the stack on http://localhost:8080; PORT, DATA_DIR and CONFIG_DIR override
	@CGO_ENABLED=0 go build -o $(BIN)/stack ./stack
	@exec $(BIN)/stack serve

.PHONY: build
build: ## build the stack and the three services into .bin
	@CGO_ENABLED=0 go build -o $(BIN)/stack ./stack
	@for s in auth-svc files-svc gateway; do CGO_ENABLED=0 go build -o $(BIN)/$$s ./$$s/cmd/$$s || exit 1; done

.PHONY: images
images: ## make container images of the services and the stack, FROM scratch, into .bin/images and docker
	@go run ./stack/images make -out $(BIN)/images -version $(VERSION) -tag $(TAG) $(if $(shell command -v docker),-load)

# The tests module runs programs and documents that the Go tool doesn't know it reads. It asks for this variable, so that its results
# are kept as long as nothing in the tree has changed, and no longer.
TREE := export TESTED_TREE="$$({ git rev-parse HEAD; git diff HEAD; git ls-files -oz --exclude-standard | xargs -0r cat; } 2>/dev/null | git hash-object --stdin)"

.PHONY: test
test: strace containers ## run every test, with the race detector
	@$(TREE) && go test $(RACE) -timeout 25m work
	@test -n "$(RACE)" || echo '*** RUN WITHOUT THE RACE DETECTOR for want of a C compiler ***'
	@command -v npm >/dev/null || echo '*** NOT RUN for want of node and npm: uploads by tus-js-client and Uppy (tests/browser), and ours beside @tus/server (tests/differential) ***'
	@command -v chromium >/dev/null || echo '*** NOT RUN for want of chromium: a browser session in a real browser (tests/browser) ***'
	@command -v strace >/dev/null || echo '*** NOT RUN for want of strace: faults injected into the system calls of the files service ***'
	@k8s/tools/apiserver/build --look >/dev/null || test -n "$$KUBEBUILDER_ASSETS" || echo '*** NOT RUN for want of a Kubernetes API server: k8s (make test-cluster builds one, in minutes) ***'
	@command -v clamd >/dev/null || echo '*** NOT RUN for want of clamd: the scan hook against a real one (its protocol is tested) ***'

.PHONY: containers
containers: # docker and the images of what the services can be run on, made ready where that can be done without asking
	@tests/images/up || { echo '*** NOT RUN for want of docker: everything on PostgreSQL, Redis and S3, and replicas ***'; test "$$CI" != true; }

.PHONY: strace
strace: # injects faults into system calls; installed where that can be done without asking
	@command -v strace >/dev/null || [ "$$(uname)" != Linux ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends strace; } >/dev/null 2>&1 || true

.PHONY: chart
chart: ## lint and test the chart, and what is made of it, without a cluster (the first time helm is built, in minutes)
	@$(TREE) && GOWORK=off go -C charts test ./...

.PHONY: test-unit
test-unit: ## run the tests that live beside the code
	go test $(RACE) $(foreach m,$(filter-out tests,$(MODULES)),./$(m)/...)

.PHONY: test-e2e
test-e2e: ## run the main job through the real gateway, as one process and as three
	go test -count=1 -v ./tests/e2e/... ./tests/docs/...

.PHONY: test-hostile
test-hostile: ## run the hostile cases, black box over HTTP
	go test -count=1 -v ./tests/hostile/...

.PHONY: test-flood
test-flood: ## measure refreshes under a flood of logins and hold the ratio to its mark (wants a quiet machine)
	FLOOD_RATIO=1 go test -count=1 -v -run FloodLeaves ./tests/hostile/

.PHONY: test-browser
test-browser: ## run tus-js-client and Uppy, as npm has them, and Chromium against the real gateway (needs node, npm, chromium)
	go test -count=1 -v ./tests/browser/...

.PHONY: test-chaos
test-chaos: containers ## break the files service at every step (the kill-point matrix), kill -9 the stack while it works, and look what is left
	go test -count=1 -v ./tests/chaos/...
	CRASHTEST_ALL=1 go test -count=1 -v -run TestRun_PostgresAndABucket ./files-svc/internal/crashtest/

.PHONY: test-cluster
test-cluster: test-apiserver ## then install, upgrade and break the chart in a real cluster: $$KUBECONFIG, kind, or CLOAKROOM_TEST_CLUSTER_UP (many minutes)
	TEST_CLUSTER=1 go test -count=1 -v -timeout 60m ./tests/cluster/

.PHONY: test-apiserver
test-apiserver: ## put CRDs, rules and the source over them to a real Kubernetes API server (built once, in minutes; KUBEBUILDER_ASSETS overrides)
	@assets="$${KUBEBUILDER_ASSETS:-$$(k8s/tools/apiserver/build)}" && \
		KUBEBUILDER_ASSETS="$$assets" TEST_CLUSTER=1 go test -count=1 $(RACE) -timeout 20m ./k8s/...

.PHONY: test-replicas
test-replicas: containers ## break three gateways, two auth and two files services in containers in every way, under load (minutes)
	go test -count=1 -v -timeout 20m ./tests/replicas/

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME each (default 30s)
	@tests/tools/fuzz.sh

.PHONY: bench
bench: ## run the benchmarks beside the code, then those beside the servers of others
	go test -run '^$$' -bench . -benchtime 2s $(foreach m,$(filter-out tests,$(MODULES)),./$(m)/...)
	CLOAKROOM_BENCH_ROWS=10000000 go test -run StayFlat -v -timeout 60m ./files-svc/internal/adapter/postgres/
	@$(MAKE) --no-print-directory bench-beside

.PHONY: bench-beside
bench-beside: ## measure uploads beside tusd and PocketBase, in turns on one disk, and hold the ratios to their marks (a quarter of an hour; wants a quiet machine)
	go test -run '^$$' -bench Uploads -benchtime 1x -timeout 30m ./tests/beside/

.PHONY: bench-pages
bench-pages: ## time pages of people on PostgreSQL among ten thousand and ten million (minutes, and gigabytes of disk)
	cd auth-svc && PAGES_ROWS=10000000 go test -count=1 -v -timeout 60m -run Pages_AreFlat ./internal/adapter/postgres

.PHONY: lint
lint: $(BIN)/golangci-lint ## vet style and the arrows between the rooms
	@for m in $(LINTED); do (cd $$m && GOWORK=off $(BIN)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

.PHONY: fmt
fmt: ## format the code
	gofmt -w $(LINTED)

.PHONY: format
format: # says which files want `make fmt`
	@files="$$(gofmt -l $(LINTED))" && test -z "$$files" || { echo 'these files want `make fmt`:'; echo "$$files"; exit 1; }

.PHONY: generate
generate: $(BIN)/controller-gen ## make what is made from the code: deep copies, CRDs, dashboards and alerts, and what the chart is made of and makes
	PATH="$(BIN):$$PATH" go generate ./libs/...
	go -C k8s/observe run . -out ..
	GOWORK=off go -C charts run ./generate

.PHONY: tidy
tidy: ## tidy every module
	@for m in $(LINTED); do (cd $$m && GOWORK=off go mod tidy) || exit 1; done

.PHONY: verify
verify: format generate tidy ## prove that each module builds alone and that generated files and go.mod are as committed (vet is among the linters)
	@for m in $(MODULES); do (cd $$m && GOWORK=off go build ./...) || exit 1; done
	@GOWORK=off go -C tests/bench vet ./...
	@git diff --exit-code -- '*.go' '*.mod' '*/go.sum' k8s libs charts || { echo 'generated files differ: commit what `make generate tidy` changed'; exit 1; }

.PHONY: clean
clean: ## remove what was built; data stays
	rm -rf $(BIN)

$(BIN)/%: tests/tools/go.mod tests/tools/go.sum
	@echo "building the pinned tools into .bin"
	@mkdir -p $(BIN) && GOWORK=off go -C tests/tools build -o $(BIN)/ tool
