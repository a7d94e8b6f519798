import type { Room, User } from "../api/contract.ts";

type Person = Pick<User, "role"> | undefined;

/** What the server's table of rights says of rooms and their recordings, so that nobody is offered what would be refused. */
export const mayChange = (user: Person, room: Pick<Room, "role"> | undefined): boolean => user?.role === "admin" || room?.role === "owner";
export const mayModerate = (user: Person, room: Pick<Room, "role"> | undefined): boolean => mayChange(user, room) || room?.role === "moderator";
