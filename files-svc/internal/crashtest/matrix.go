package crashtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run runs the matrix. Its error means that it could not be run; what it has found is in the report.
func Run(ctx context.Context, opts Options) (_ Report, err error) {
	began := time.Now()
	steps, faults, err := opts.choose()
	if err != nil {
		return Report{}, err
	}
	m := &matrix{opts: opts}
	if m.folder, err = os.MkdirTemp(opts.Dir, "crashtest-"); err != nil {
		return Report{}, fmt.Errorf("make a folder to work in: %w", err)
	}
	if m.sockets, err = os.MkdirTemp("", "ct-"); err != nil { // short: the path of a socket has 107 bytes at most
		return Report{}, fmt.Errorf("make a folder for sockets: %w", err)
	}
	defer func() { err = errors.Join(err, m.clean()) }()
	if err := opts.Store.make(ctx, filepath.Join(m.folder, "world")); err != nil {
		return Report{}, fmt.Errorf("prepare the world of the cells: %w", err)
	}
	m.world, err = makeWorld(ctx, opts.Store, filepath.Join(m.folder, "world"), rand.New(rand.NewPCG(opts.Seed, 0))) //nolint:gosec // must be repeatable
	if err != nil {
		return Report{}, fmt.Errorf("make the world of the cells: %w", err)
	}
	r := Report{Store: opts.Store.Name, Seed: opts.Seed, Cells: make([]Cell, len(steps)*len(faults))}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, opts.Parallel))
	for i, step := range steps {
		for k, f := range faults {
			at := i*len(faults) + k
			group.Go(func() error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				r.Cells[at] = m.cell(ctx, step, f, at)
				return ctx.Err()
			})
		}
	}
	if err := group.Wait(); err != nil {
		return Report{}, err
	}
	r.Took = time.Since(began)
	return r, nil
}

// matrix is one run.
type matrix struct {
	opts    Options
	folder  string
	sockets string
	world   *world

	mu   sync.Mutex // one word of progress at a time
	keep bool       // a cell has left something to look at
}

// choose finds what was asked for.
func (o Options) choose() ([]Step, []Fault, error) {
	known := o.Store.Steps()
	steps, faults := known, o.Faults
	if len(o.Steps) > 0 {
		steps = nil
		for _, name := range o.Steps {
			i := slices.IndexFunc(known, func(s Step) bool { return s.Name == name })
			if i < 0 {
				return nil, nil, fmt.Errorf("there is no step %q", name)
			}
			steps = append(steps, known[i])
		}
	}
	for _, f := range faults {
		if !slices.Contains(o.Store.faults(), f) {
			return nil, nil, fmt.Errorf("there is no fault %q", f)
		}
	}
	if len(faults) == 0 {
		faults = o.Store.faults()
	}
	return steps, faults, nil
}

// Check finds fault with what was asked for.
func (o Options) Check() error {
	_, _, err := o.choose()
	return err
}

// clean removes everything, or everything but the cells that have failed.
func (m *matrix) clean() error {
	err := os.RemoveAll(m.sockets)
	if m.keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(m.folder))
}

// cell runs one cell. One that is stopped has found nothing, and leaves nothing.
func (m *matrix) cell(run context.Context, step Step, f Fault, number int) Cell {
	began := time.Now()
	ctx, cancel := context.WithTimeout(run, 2*patience)
	defer cancel()
	c := m.trial(ctx, step, f)
	c.run(m.opts.Child, filepath.Join(m.sockets, strconv.Itoa(number)))
	cell := Cell{Step: step.Name, Fault: f, ReadBack: c.readBack, Problems: c.problems, Took: time.Since(began)}
	m.mu.Lock()
	defer m.mu.Unlock()
	stopped := run.Err() != nil
	if len(cell.Problems) > 0 && !stopped {
		cell.Folder, m.keep = c.folder, true
	} else if err := errors.Join(m.opts.Store.drop(context.WithoutCancel(ctx), c.folder), os.RemoveAll(c.folder)); err != nil {
		cell.Problems = append(cell.Problems, err.Error())
	}
	if m.opts.Progress != nil && !stopped {
		m.opts.Progress(cell)
	}
	return cell
}

// trial makes a cell. Its chance depends on seed, step and fault only, so that a cell alone is what it is among all.
func (m *matrix) trial(ctx context.Context, step Step, f Fault) *trial {
	name := fnv.New64a()
	fmt.Fprintf(name, "%s/%s", step.Name, f)
	c := &trial{
		ctx: ctx, step: step, fault: f, store: m.opts.Store, world: m.world,
		folder: filepath.Join(m.folder, step.Name+"."+string(f)),
		chance: rand.New(rand.NewPCG(m.opts.Seed, name.Sum64())), //nolint:gosec // must be repeatable
		acked:  map[string]string{}, open: map[string]map[string]bool{}, tried: map[string]bool{},
	}
	for _, file := range []known{m.world.kept, m.world.large, m.world.other} {
		c.acked[file.id] = digestOf(file.content)
	}
	return c
}

func (c *trial) run(command []string, socket string) {
	if !c.must("copy the world", c.store.copy(c.ctx, c.world, c.folder)) {
		return
	}
	j := job{Store: c.store.Name, Folder: c.folder, Socket: socket, Offset: later, Seed: c.chance.Uint64()}
	child, err := start(c.ctx, command, j, filepath.Join(c.folder, "child.log"))
	if !c.must("start", err) {
		return
	}
	c.child = child
	defer child.kill()
	c.step.work(c)
	c.aftermath()
	child.kill()
	c.judge()
}
