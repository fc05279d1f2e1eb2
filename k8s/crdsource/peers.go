package crdsource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// peerPrefix begins the annotation of a replica: `<digest of its snapshot> <beat>`. The beat is all that tells the living from
	// the dead; no clock is compared.
	peerPrefix = "cloakroom.dev/replica-"

	// beatsMissed is how many beats may be missed before a replica is taken for gone.
	beatsMissed = 4

	// agreeWithin is for how many beats replicas may differ before it is told: each change spreads for a moment, and not every
	// moment is worth a status of every object.
	agreeWithin = 2

	maxPeers = 1000
)

// peers is what the replicas of a service tell each other, in the annotations of one Lease: which snapshot each has in force.
type peers struct {
	source *Source
	key    string // our own annotation
	beat   int

	mu       sync.Mutex
	seen     map[string]peer
	differ   int    // beats in a row
	standing string // "2 of 3 gateways on sha256:…" while they differ; empty when all agree
}

// peer is what was heard from a replica, and for how many beats it was the same.
type peer struct {
	value  string
	missed int
}

func newPeers(s *Source) *peers {
	sum := sha256.Sum256([]byte(s.opts.Identity))
	return &peers{source: s, key: peerPrefix + hex.EncodeToString(sum[:8]), seen: map[string]peer{}}
}

func (p *peers) lease() string { return p.source.manager() + "-replicas" }

// run tells and listens until ctx ends, and takes its leave then. What fails is tried again at the next beat.
func (p *peers) run(ctx context.Context) {
	ticker := time.NewTicker(p.source.opts.Lease / 3)
	defer ticker.Stop()
	for {
		p.turn(ctx)
		select {
		case <-ctx.Done():
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = p.annotate(leaving, map[string]any{p.key: nil})
			return
		case <-ticker.C:
		}
	}
}

// turn is one beat: it says what is in force here, and hears what is elsewhere from the same answer.
func (p *peers) turn(ctx context.Context) {
	p.source.mu.Lock()
	digest := p.source.ledger.Snapshot().Digest
	p.source.mu.Unlock()
	p.beat++
	lease, err := p.annotate(ctx, map[string]any{p.key: digest + " " + strconv.Itoa(p.beat)})
	if err != nil {
		return // the election says what stands in the way
	}
	if gone := p.hear(lease.Annotations, digest); len(gone) > 0 {
		_, _ = p.annotate(ctx, gone)
	}
}

// annotate patches our Lease, which the first one makes.
func (p *peers) annotate(ctx context.Context, annotations map[string]any) (*coordinationv1.Lease, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	leases := p.source.cluster.leases.Leases(p.source.opts.Namespace)
	lease, err := leases.Patch(asking, p.lease(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: p.source.manager()})
	if !apierrors.IsNotFound(err) {
		return lease, err
	}
	made := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: p.lease()}}
	if _, err := leases.Create(asking, made, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	return leases.Patch(asking, p.lease(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: p.source.manager()})
}

// hear counts the living and compares them with us. It returns the annotations of those that are long gone, to be removed.
func (p *peers) hear(annotations map[string]string, digest string) (gone map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, of, on := map[string]peer{}, 0, 0
	gone = map[string]any{}
	for key, value := range annotations {
		if !strings.HasPrefix(key, peerPrefix) || len(next) >= maxPeers {
			continue
		}
		heard := peer{value: value}
		if before, known := p.seen[key]; known && before.value == value {
			heard.missed = before.missed + 1
		}
		if next[key] = heard; heard.missed > beatsMissed {
			gone[key] = nil
			continue
		}
		of++
		if has, _, _ := strings.Cut(value, " "); has == digest {
			on++
		}
	}
	p.seen = next
	p.judge(on, of, digest)
	return gone
}

// judge notes how many have our snapshot, once they have differed for longer than a change takes to spread.
func (p *peers) judge(on, of int, digest string) {
	if p.differ++; on == of {
		p.differ = 0
	}
	standing := ""
	if p.differ > agreeWithin {
		standing = fmt.Sprintf("%d of %d %s on %s", on, of, replicasOf(p.source.opts.Service), digest)
	}
	if standing != p.standing {
		p.standing = standing
		poke(p.source.reports)
	}
}

// standingNow is "2 of 3 gateways on sha256:…" while replicas differ, and empty while they agree.
func (p *peers) standingNow() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.standing
}

func replicasOf(service string) string {
	if service == "gateway" {
		return "gateways"
	}
	return "replicas of " + service
}
