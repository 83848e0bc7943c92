# make demo      a planted attack, analysed: the story on the terminal, the report in out/demo
# make test      every test, with the race detector
# make           build the binary
# make docs      the pages made from the rules, after one of them changed
# make scoreboard  how well every labelled set is told, measured again
GO            ?= go
GOLANGCI      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VERSION       ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS       := -s -w -X main.version=$(VERSION)

.PHONY: build test lint fuzz-seeds fuzz demo bench bench-sigma generate docs scoreboard clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/catena ./cmd/catena

test:
	$(GO) test -race -timeout 20m ./...
	$(GO) test -run 'MemoryIsFlat' ./internal/app # which the race detector changes

lint:
	$(GO) vet ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) run $(GOLANGCI) run ./...

# The seeds of every fuzz test, as plain tests without the race detector.
fuzz-seeds:
	$(GO) test -run '^Fuzz' ./...

# Every fuzz test for FUZZTIME each.
FUZZTIME ?= 30s
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

demo: build
	rm -rf out/demo
	bin/catena simulate --out out/demo --seed 1
	bin/catena analyze out/demo/evidence --format text --format json --format html --format csv --format navigator --out out/demo/report
	bin/catena eval --truth out/demo/truth.json out/demo/report/report.json
	@echo "The report is out/demo/report/report.html"

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Sigma: Catena's own figures and the comparison with other engines for Go, over a
# recorded campaign and over many small EVTX; docs/performance.md says how to read it.
CATENA_DATA   ?= ../shared/data
BENCH_ROUNDS  ?= 3
BENCH_BUDGET  ?= 5s
SIGMACHECK    := bin/sigmacheck -rounds $(BENCH_ROUNDS) -budget $(BENCH_BUDGET) -rules $(CATENA_DATA)/sigma_rules
bench-sigma:
	cd bench/sigmacheck && $(GO) build -o ../../bin/sigmacheck .
	$(SIGMACHECK) $(CATENA_DATA)/otrf_compound/LSASS_campaign_01
	$(SIGMACHECK) $(addprefix $(CATENA_DATA)/,evtx_attack_samples evtx_to_mitre evtx_other sigma_regression)
	$(GO) test ./sigma -run TestCorrelatorStorm -v
	$(GO) test ./sigma -run '^$$' -bench 'Load|Correlator' -benchmem

# docs/scoreboard.md and .json, from the data folder; ten minutes.
scoreboard:
	CATENA_SCOREBOARD=write CATENA_DATA=$(abspath $(CATENA_DATA)) $(GO) test ./internal/app -run '^TestScoreboard$$' -count 1 -timeout 60m

# The tables of facts in internal/knowledge, from the data folder.
generate:
	$(GO) generate ./...

# The pages of docs that are made from the rules; a test fails while they differ.
docs:
	$(GO) generate ./rules

clean:
	rm -rf bin out
