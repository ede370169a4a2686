"""Several processes in one or several Pods as one world of torch.distributed: started, brought together, watched."""
