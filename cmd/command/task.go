package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/braidhq/braid/serving/task"
)

// Follow has a node do what takes long, tells its progress, and reads what came of it into result.
func (p *Program) Follow(c *cobra.Command, q Question, options any, progress func(json.RawMessage), result any) error {
	body, err := json.Marshal(options)
	if err != nil {
		return err
	}
	raw, err := p.Tell(c, q, body)
	if err != nil {
		return err
	}
	var begun task.Begun
	if err := json.Unmarshal(raw, &begun); err != nil {
		return fmt.Errorf("the node's answer: %w", err)
	}
	q.Path, q.Read = "/v1/tasks/"+begun.Task, nil
	for {
		raw, _, err := p.reach(c, "GET", q, nil)
		if err != nil {
			return err
		}
		var s struct {
			Running          bool
			Progress, Result json.RawMessage
			Error            string
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("the node's answer: %w", err)
		}
		if len(s.Progress) > 0 {
			progress(s.Progress)
		}
		if !s.Running {
			if len(s.Result) > 0 {
				err = json.Unmarshal(s.Result, result)
			}
			if s.Error != "" {
				err = errors.New(s.Error)
			}
			return err
		}
		select {
		case <-c.Context().Done():
			return fmt.Errorf("the node goes on with it: %w", c.Context().Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
