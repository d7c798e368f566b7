package direct

import "github.com/braidhq/braid/pipelines/direct/element"

// Poison is an element that its stage cannot process.
type Poison struct {
	// Step is the full name of the step whose DoFn failed, as in Failure.
	Step string
	// Err is its last error.
	Err error
	// Element is the input of the stage as Beam encodes it: timestamp, windows, pane and value.
	Element []byte
}

// sieve processes what it can of a bundle that fails, and sets the rest aside. It returns an instance for the next bundle, or nil.
func (s *stage) sieve(blocks []block, end *BundleError) *instance {
	var elements []block
	for _, b := range blocks {
		if err := s.spec.Elements.Each(b, func(_ element.Header, all, _ []byte) error {
			elements = append(elements, all)
			return nil
		}); err != nil {
			s.e.cancel(&BundleError{Step: s.name(), Attempts: 1, Err: err})
			return nil
		}
	}
	return s.halve(nil, elements, end)
}

// halve is told that elements, together, failed with an error.
func (s *stage) halve(inst *instance, elements []block, end *BundleError) *instance {
	if len(elements) == 1 {
		s.e.opts.SetAside(Poison{Step: end.Step, Err: end.Err, Element: elements[0]})
		return inst
	}
	half := len(elements) / 2
	for _, part := range [][]block{elements[:half], elements[half:]} {
		var b *bundle
		inst, b, end = s.attempt(inst, s.spec.Descriptor, part)
		switch {
		case end != nil:
			inst = s.halve(inst, part, end)
		case b == nil:
			return inst // the job has ended
		default:
			s.e.commit(s, b, commit{})
		}
	}
	return inst
}
