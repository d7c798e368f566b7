package direct

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/cenkalti/backoff/v5"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
)

// Failure is a bundle that fails and is tried again.
type Failure struct {
	// Step is the full name of the step whose DoFn failed or, where the executor does not know (a panic), of all steps that
	// run fused with it, joined by " + ".
	Step string
	// Attempts is how often the bundle has failed in a row.
	Attempts int
	// Err is the last error, as the DoFn returned it.
	Err error
	// Since is when the bundle failed first.
	Since time.Time
	// Next is when it is tried again.
	Next time.Time
}

// BundleError ends a job: a bundle failed with a permanent error, or too often.
type BundleError struct {
	// Step is as in Failure.
	Step string
	// Attempts is how often the bundle was tried.
	Attempts int
	// Err is the last error, as the DoFn returned it.
	Err error
}

// Error names the step.
func (e *BundleError) Error() string {
	return fmt.Sprintf("direct: step %q failed, attempt %d: %v", e.Step, e.Attempts, e.Err)
}

// Unwrap returns the error of the DoFn.
func (e *BundleError) Unwrap() error { return e.Err }

// Failing returns the bundles whose last try failed, those that have failed longest first. It is empty when all is well.
func (e *Engine) Failing() []Failure {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Failure
	for f := range e.failing {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Failure) int { return a.Since.Compare(b.Since) })
	return out
}

// attempt runs a bundle until it succeeds, and returns it with the instance that ran it. It returns a nil bundle when the job
// has ended or, with the reason, when there shall be no other try. An instance whose bundle failed is torn down; the next try has a
// new one.
func (s *stage) attempt(inst *instance, desc *fnpb.ProcessBundleDescriptor, in []block) (*instance, *bundle, *BundleError) {
	e := s.e
	var f *Failure
	var pause *backoff.ExponentialBackOff
	defer func() {
		if f != nil {
			e.mu.Lock()
			delete(e.failing, f)
			e.mu.Unlock()
		}
	}()
	for e.ctx.Err() == nil {
		b := s.newBundle(desc, in)
		err := error(nil)
		if inst == nil {
			inst, err = e.newInstance(desc)
		}
		if err == nil {
			err = inst.run(b)
		}
		if err == nil {
			return inst, b, nil
		}
		if inst != nil {
			inst.teardown()
			inst = nil
		}
		if e.ctx.Err() != nil {
			break // it may have failed for no other reason
		}
		if f == nil {
			f = &Failure{Since: time.Now()}
			pause = backoff.NewExponentialBackOff()
			pause.InitialInterval, pause.MaxInterval = e.opts.Backoff, e.opts.MaxBackoff
			pause.Reset()
		}
		if end := s.failed(f, err, min(pause.NextBackOff(), e.opts.MaxBackoff)); end != nil {
			return nil, nil, end
		}
		t := time.NewTimer(time.Until(f.Next))
		wait(e, t)
		t.Stop()
	}
	return inst, nil, nil
}

// failed records a failed try. It returns an error if there shall be no other.
func (s *stage) failed(f *Failure, err error, pause time.Duration) *BundleError {
	e := s.e
	id, cause := origin(err)
	step := e.names[id]
	if step == "" {
		step = s.name()
	}
	e.mu.Lock()
	f.Step, f.Err, f.Next = step, cause, time.Now().Add(pause)
	f.Attempts++
	e.failing[f] = struct{}{}
	s.failures++
	seen := *f
	e.mu.Unlock()
	if e.opts.OnFailure != nil {
		e.opts.OnFailure(seen)
	}
	var p interface{ Permanent() bool }
	if errors.As(cause, &p) && p.Permanent() || e.opts.MaxAttempts > 0 && seen.Attempts >= e.opts.MaxAttempts {
		return &BundleError{Step: step, Attempts: seen.Attempts, Err: cause}
	}
	return nil
}

// origin takes the error of a plan apart: the transform whose DoFn returned it, if known, and what it returned. The SDK's
// outermost layer prints the whole plan; nobody wants to read that.
func origin(err error) (transform string, cause error) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if id, c := openDoFnError(e); c != nil {
			return id, c
		}
	}
	if inner := errors.Unwrap(err); inner != nil {
		return "", inner
	}
	return "", err
}

// openDoFnError looks into exec.doFnError, which keeps the error of a DoFn in an unexported field and does not unwrap to it:
// errors.As ends there. If the SDK ever changes the type, this finds nothing, errors are retried that need not be, and a
// test fails.
func openDoFnError(err error) (transform string, cause error) {
	v := reflect.ValueOf(err)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return "", nil
	}
	v = v.Elem()
	if v.Type().Name() != "doFnError" || !strings.HasSuffix(v.Type().PkgPath(), "/core/runtime/exec") {
		return "", nil
	}
	pid, inner := v.FieldByName("pid"), v.FieldByName("err")
	if !inner.IsValid() || inner.Type() != reflect.TypeFor[error]() || !pid.IsValid() || pid.Kind() != reflect.String {
		return "", nil
	}
	cause, _ = reflect.NewAt(inner.Type(), unsafe.Pointer(inner.UnsafeAddr())).Elem().Interface().(error)
	return pid.String(), cause
}
