"""From footage of people to training records: cut at shots, follow one person, crop, measure, reject with a reason."""
